"""The commands of the state machine, by data type: functions (context, arguments) -> reply."""
