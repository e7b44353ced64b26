"""How pictures look: on a card of their own, light or dark as the reader prefers."""

STYLE = """\
.comity text{font:13px ui-sans-serif,-apple-system,'Segoe UI',Roboto,
'Helvetica Neue',Arial,sans-serif;fill:#1f2733}
.comity .card{fill:#fff;stroke:#d8dee8}.comity .title{font-size:18px;font-weight:650}
.comity .dim{font-size:12px;fill:#667185}.comity .lane{stroke:#e3e8f0;stroke-width:1.5}
.comity .name{font-weight:600}.comity .axis{stroke:#b4bdcb;fill:none;stroke-width:1.3}
.comity .label{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',
'Liberation Mono',monospace}
.comity .bar{fill:#e6eefb;stroke:#7d9fd3;stroke-width:1.4}.comity .aside .bar{fill:#f4f6f9;stroke:#c4ccd8}
.comity .aside .label{fill:#7b8596}.comity .marked .bar{fill:#fff1cc;stroke:#d39a1d;stroke-width:1.8}
.comity .stuck .bar{fill:#fde3e1;stroke:#d13a35;stroke-width:1.8}.comity .stuck .label{fill:#8d1b18}
.comity .info .bar{stroke-dasharray:6 4}.comity .fail .bar{fill-opacity:.35;stroke-dasharray:2 3}
.comity .fail .label{fill:#7b8596;text-decoration:line-through}
.comity .badge{fill:#2563c9;stroke:#fff;stroke-width:2}
.comity .number{font-size:11px;font-weight:700;fill:#fff;text-anchor:middle}
.comity .cross{fill:#d13a35;stroke:#fff;stroke-width:2}
.comity .tick{stroke:#fff;stroke-width:2;stroke-linecap:round}
.comity .halo{fill:none;stroke:#fff;stroke-width:6}.comity .arrow{fill:none;stroke:#d13a35;stroke-width:2}
.comity .head{fill:#d13a35}.comity .gaveup{stroke:#7d9fd3;stroke-width:1.4}
.comity .chip{fill:#fff;stroke:#d13a35;stroke-width:1.2}
.comity .kind{font-size:12px;font-weight:600;fill:#b3261e;text-anchor:middle}
.comity .good{fill:#e2f5e9;stroke:#5bb37f}.comity .goodword{font-weight:600;fill:#17693a}
.comity .bad{fill:#fde3e1;stroke:#e0807c}.comity .badword{font-weight:600;fill:#a3211c}
.comity .open{fill:#fff1cc;stroke:#d39a1d}.comity .openword{font-weight:600;fill:#7a5500}
.comity .break{stroke:#9aa5b5;stroke-width:2;stroke-dasharray:2 5}
.comity .fault{stroke:#c2410c;stroke-width:1.2;stroke-dasharray:3 4}
.comity .faultword{font-size:12px;fill:#c2410c}
@media(prefers-color-scheme:dark){
.comity text{fill:#e6eaf1}.comity .card{fill:#161b23;stroke:#303947}.comity .dim{fill:#97a3b6}
.comity .lane{stroke:#2a3240}.comity .axis{stroke:#5d6a7e}
.comity .bar{fill:#1f3150;stroke:#6a92d4}.comity .aside .bar{fill:#1d232d;stroke:#444f60}
.comity .aside .label,.comity .fail .label{fill:#8b97a9}
.comity .marked .bar{fill:#43340f;stroke:#d9a62e}.comity .stuck .bar{fill:#4a1c1d;stroke:#f0605a}
.comity .stuck .label{fill:#ffc9c5}.comity .badge{fill:#3b7ae0;stroke:#161b23}.comity .cross{stroke:#161b23}
.comity .halo{stroke:#161b23}.comity .arrow{stroke:#f0605a}.comity .head{fill:#f0605a}
.comity .chip{fill:#161b23;stroke:#f0605a}.comity .kind{fill:#ff9a94}
.comity .number{fill:#fff}.comity .good{fill:#143324;stroke:#3f8f61}.comity .goodword{fill:#8fe0b0}
.comity .bad{fill:#431c1d;stroke:#b5524e}.comity .badword{fill:#ffb3ae}
.comity .open{fill:#43340f;stroke:#d9a62e}.comity .openword{fill:#ffdf91}
.comity .fault{stroke:#fb8b4b}.comity .faultword{fill:#fb8b4b}}
"""
