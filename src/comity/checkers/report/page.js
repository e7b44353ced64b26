"use strict";(()=>{
const D=JSON.parse(document.getElementById("data").textContent);
const el=id=>document.getElementById(id);
function make(tag,kind,text,parent){
 const e=document.createElement(tag);if(kind)e.className=kind;if(text!==undefined)e.textContent=text;
 if(parent)parent.appendChild(e);return e}
function svg(tag,attributes,parent,text){
 const e=document.createElementNS("http://www.w3.org/2000/svg",tag);
 for(const k in attributes)e.setAttribute(k,attributes[k]);
 if(text!==undefined)e.textContent=text;if(parent)parent.appendChild(e);return e}
let colours={};
const colour=name=>colours[name]??=getComputedStyle(document.documentElement).getPropertyValue("--"+name).trim();
const number=n=>n.toLocaleString("en-US");
const many=(n,one)=>number(n)+" "+one+(n===1?"":"s");

// Operations ---------------------------------------------------------------------------------------------------
const O=D.operations,N=O.row.length;
const whereIs=O.index?new Map(O.index.map((index,i)=>[index,i])):null;
const at=index=>whereIs?whereIs.get(index):index<N?index:undefined;
const indexOf=i=>O.index?O.index[i]:i;
const places=list=>list.map(at).filter(i=>i!==undefined);
const key=i=>O.key[i]<0?"":O.keys[O.key[i]];
const isTransaction=i=>Array.isArray(O.asked[i]);
const nameOf=i=>(D.transactions?"T":"#")+indexOf(i);
const process=i=>{const p=D.processes[O.row[i]];return /^-?\d+$/.test(p)?"process "+p:p};
function lines(i){
 if(isTransaction(i))return O.asked[i];
 let text=O.names[O.f[i]];
 if(key(i))text+=" "+key(i);
 if(O.asked[i])text+=" "+O.asked[i];
 if(O.answer[i])text+=" → "+O.answer[i];
 else if(O.outcomes[i]==="i"&&!O.asked[i])text+=" → ?";
 return [text]}
const label=i=>lines(i).join(isTransaction(i)?" · ":"")+(O.outcomes[i]==="f"?" ✗":"");
const brief=i=>{const t=label(i);return t.length>48?t.slice(0,22)+"…"+t.slice(-22):t};
const OUTCOME={o:"ok",f:"failed",i:"of unknown outcome: it happened later, or never"};

// What each row holds, and where each operation begins and ends on the axis that is chosen.
const rows=D.processes.map(()=>[]);
for(let i=0;i<N;i++)rows[O.row[i]].push(i);
const S=new Float64Array(N),E=new Float64Array(N);
let byTime=false,axisEnd=1;
function lay(){
 const last=D.events,times=byTime?O.begun.reduce((m,t,i)=>Math.max(m,t,O.ended[i]),0):0;
 axisEnd=Math.max(1,byTime?times*1.01:last);
 for(const row of rows){
  let before=0;
  for(let j=0;j<row.length;j++){
   const i=row[j],next=row[j+1];
   let s=byTime?O.begun[i]:O.invoked[i],e=byTime?O.ended[i]:O.completed[i];
   if(O.outcomes[i]==="i"||e<0)e=next===undefined?axisEnd:byTime?O.begun[next]:O.invoked[next];
   s=Math.max(s,before);e=Math.max(e,s);S[i]=s;E[i]=before=e}}}
lay();
function search(row,isPast){let a=0,b=row.length;while(a<b){const m=a+b>>1;isPast(row[m])?b=m:a=m+1}return a}

// Words ----------------------------------------------------------------------------------------------------------
document.title=D.headline.map(p=>p[0]).join("")+" · comity check";
el("file").textContent=D.name;
for(const [text,tone] of D.headline)make("span",tone,text,el("verdict"));
el("verdict").dataset.status=D.status;
function facts(){
 const say=(b,rest)=>{const s=make("span","",undefined,el("facts"));make("b","",b,s);s.append(" "+rest)};
 const n=D.total,o=D.outcomes;
 say(number(n),D.transactions?n===1?"transaction":"transactions":n===1?"operation":"operations");
 if(o.fail)say(number(o.fail),"failed");
 if(o.info)say(number(o.info),"of unknown outcome");
 say(number(D.processes.length),D.processes.length===1?"process":"processes");
 if(!D.transactions&&D.keys>1)say(number(D.keys),"keys");
 if(D.faults.length)say(number(D.faults.length),D.faults.length===1?"fault event":"fault events");
  const read=make("span","","read as ",el("facts"));make("b","",D.type,read);
 say(D.seconds<.001?"under 1 ms":D.seconds<1?Math.round(D.seconds*1000)+" ms":+D.seconds.toFixed(2)+" s","to check")}
facts();
// The one to look at first: the first that can be drawn.
const FIRST=D.verdicts.find(v=>v.cycle.length||v.order.length)??D.verdicts[0]??null;
const NOT={violation:"not ",unknown:"undecided: "};
function lead(){
 const box=el("lead"),v=FIRST;
 if(!D.total){box.textContent="The history has no operations.";return}
 if(!v||D.status==="valid"){box.textContent="Every model that was asked for holds: all that was answered can be explained.";return}
 if(v.anomaly){make("b",v.status,v.anomaly,box);box.append(": "+(v.meaning||v.explanation)+".")}
 else if(v.order.length&&v.stuck.length){
  const last=at(v.order.at(-1)),next=at(v.stuck[0]);
  box.append("No order in real time explains every answer: the one that gets furthest ends with ");
  make("code","",brief(last),box);box.append(" ("+process(last)+"), and ");make("code",v.status,brief(next),box);
  box.append(" ("+process(next)+") cannot follow.")}
 else box.textContent=v.explanation.split("\n")[0]}
lead();

// The lattice ----------------------------------------------------------------------------------------------------
const PLACES={
 linearizable:[400,0],sequential:[400,1],causal:[320,2],"causal-convergence":[575,2],pram:[222,3],
 "writes-follow-reads":[440,3],"read-your-writes":[72,4],"monotonic-reads":[222,4],"monotonic-writes":[370,4],
 eventual:[480,5],
 "strict-serializable":[300,0],"strong-session-serializable":[140,1],"strong-snapshot-isolation":[440,1],
 serializable:[140,2],"strong-session-snapshot-isolation":[440,2],"snapshot-isolation":[440,3],
 "repeatable-read":[140,4],"parallel-snapshot-isolation":[440,4],"cursor-stability":[140,5],
 "read-atomic":[440,5],"monotonic-atomic-view":[360,6],"read-committed":[250,7],"read-uncommitted":[250,8]};
function lattice(){
 const box=el("lattice");box.textContent="";
 const levels=[...new Set(D.models.map(m=>PLACES[m[0]][1]))].sort((a,b)=>a-b),STEP=54;
 const status=new Map(D.models.map(m=>[m[0],m[1]])),spot=new Map;
 for(const [n] of D.models)spot.set(n,[PLACES[n][0],levels.indexOf(PLACES[n][1])*STEP+20]);
 const half=n=>n.length*3.55+13,xs=[...spot].flatMap(([n,[x]])=>[x-half(n),x+half(n)]);
 const left=Math.min(...xs)-4,width=Math.max(...xs)-left+4,height=levels.length*STEP-10;
 const root=svg("svg",{width,height,viewBox:`${left} 0 ${width} ${height}`,role:"img","aria-label":D.established},box);
 for(const [n,own,weaker] of D.models)for(const w of weaker){
  const [x1,y1]=spot.get(n),[x2,y2]=spot.get(w),crosses=own!=="valid"&&status.get(w)==="valid";
  svg("line",{x1,y1:y1+14,x2,y2:y2-14,stroke:own==="valid"?"var(--ok)":crosses?"var(--bad)":"var(--edge)","stroke-width":crosses?1.8:1.4,
   "stroke-dasharray":crosses?"4 4":"none"},root)}
 const strongest=new Set(D.strongest);
 for(const [n,own,,meaning] of D.models){
  const [x,y]=spot.get(n),g=svg("g",{"data-model":n,"data-status":own},root),best=strongest.has(n);
  const c=own==="valid"?"ok":own==="violation"?"bad":"maybe",w=half(n);
  svg("title",{},g,`${n}: ${own}\n${meaning}`);
  svg("rect",{x:x-w,y:y-14,width:2*w,height:28,rx:14,fill:best?`var(--${c})`:own==="violation"?"var(--panel)":`var(--${c}-soft)`,
   stroke:`var(--${c})`,"stroke-width":1.4,"stroke-dasharray":own==="unknown"?"5 3":"none"},g);
  const t=svg("text",{x,y:y+4.5,"text-anchor":"middle"},g,n);
  t.style.fill=best?"var(--panel)":`var(--${c})`;t.style.fontWeight=best?700:500;
  if(own==="violation")t.style.opacity=.95}
 const keyed=el("lattice-legend");keyed.textContent="";
 const say=(style,text)=>{const s=make("span","",undefined,keyed),i=make("i","","",s);Object.assign(i.style,style);s.append(text)};
 if(strongest.size)say({background:"var(--ok)"},"the strongest that holds");
 if(D.models.some(m=>m[1]==="valid"&&!strongest.has(m[0])))say({background:"var(--ok-soft)",borderColor:"var(--ok)"},"implied by it");
 if(D.models.some(m=>m[1]==="violation"))say({borderColor:"var(--bad)"},"violated");
 if(D.models.some(m=>m[1]!=="valid"&&m[2].some(w=>status.get(w)==="valid")))
  say({height:0,width:"26px",borderRadius:0,border:0,borderTop:"2px dashed var(--bad)",verticalAlign:"3px"},"the frontier");
 // Next to it, in words: the strongest that hold, and the weakest that do not.
 const list=el("models");list.textContent="";
 const told=D.models.filter(([n,own,weaker])=>strongest.has(n)||own!=="valid"&&weaker.every(w=>status.get(w)!==own));
 for(const [n,own,,meaning] of told.reverse().sort((a,b)=>strongest.has(b[0])-strongest.has(a[0])).slice(0,5)){
  make("dt",own,(own==="violation"?"not ":own==="unknown"?"undecided: ":"")+n,list);make("dd","",meaning,list)}
 if(D.models.some(m=>m[1]==="unknown"))say({background:"var(--maybe-soft)",border:"1.5px dashed var(--maybe)"},"undecided");
}
lattice();

// What was found -------------------------------------------------------------------------------------------------
let chosen=null,witness=[],stuck=new Set,marked=new Set,order=[],rank=new Map,points=[],inRow=new Map,picked=-1,hover=-1;
D.verdicts.forEach((v,n)=>{
 const b=make("button","verdict "+v.status,undefined,el("verdicts"));b.type="button";b.dataset.verdict=n;
 make("b","",v.anomaly||(v.status==="violation"?"no order explains it":"a limit was reached"),b);
 make("span","not",(v.key?" · key "+v.key:"")+" · "+NOT[v.status]+v.models.join(", "+NOT[v.status]),b);
 const told=v.meaning||(v.order.length?number(v.order_begins-1+v.order.length)+" of "+many(v.witness_operations,"operation")+
  " have an order; no other one can follow":v.explanation.split("\n")[0]);make("span","meaning",told.length>200?told.slice(0,200)+"…":told,b);
 b.onclick=()=>choose(v)});
el("findings").hidden=!D.verdicts.length;el("pair").classList.toggle("alone",!D.verdicts.length);
el("found").textContent=D.more_verdicts?"the first "+(D.verdicts.length)+", "+D.more_verdicts+" more were left out":"";

function choose(v){
 chosen=v;witness=v?places(v.witness):[];stuck=new Set(v?places(v.stuck):[]);order=v?places(v.order):[];
 const ringed=v?places(v.cycle.flatMap(e=>[e[0],e[1]])):[];
 marked=new Set([...witness,...ringed,...stuck,...order]);witness=[...marked].sort((a,b)=>a-b);
 rank=new Map(order.map((o,i)=>[o,i+v.order_begins]));inRow=new Map;
 for(const i of witness)(inRow.get(O.row[i])??inRow.set(O.row[i],[]).get(O.row[i])).push(i);
 picked=hover=-1;hideTip();
 [...el("verdicts").children].forEach((b,n)=>b.classList?.toggle("on",D.verdicts[n]===v));
 arrange(witness.length>0&&D.processes.length>10&&inRow.size<D.processes.length);
 for(const e of [el("focus"),...document.querySelectorAll(".mine")])e.hidden=!witness.length;
 linearize();picture();legend();focus()}

// The picture: a cycle as a ring, an order as a line, or the operations that show it.
function card(i,keys,kind,parent){
 const b=make("button","card"+(kind?" "+kind:""),undefined,parent);b.type="button";b.dataset.operation=indexOf(i);
 const who=make("div","who",undefined,b);make("b","",nameOf(i),who);who.append(process(i));
 if(O.outcomes[i]!=="o")make("em","",O.outcomes[i]==="f"?"failed":"unknown",who);
 let all=lines(i).map(text=>[text,keys.has(micro(text))]),cut=0;
 if(all.length>7){const kept=all.filter(l=>l[1]);const rest=all.filter(l=>!l[1]).slice(0,Math.max(0,7-kept.length));
  const show=new Set([...kept.slice(0,7),...rest]);cut=all.length-show.size;all=all.filter(l=>show.has(l))}
 for(const [text,on] of all)make("code",on&&isTransaction(i)?"key":"",text,b);
 if(cut)make("div","more","and "+cut+" more",b);
 b.onmouseenter=e=>{hover=i;tip(i,e.clientX,e.clientY);draw()};b.onmousemove=e=>tip(i,e.clientX,e.clientY);
 b.onmouseleave=b.onblur=()=>{hover=-1;hideTip();draw()};
 b.onfocus=()=>{if(!b.matches(":focus-visible"))return;
  hover=i;const r=b.getBoundingClientRect();tip(i,r.left+r.width/2,r.bottom-12);draw()};
 b.onclick=()=>{picked=i;reveal(i);el("timeline").scrollIntoView({block:"nearest"})};
 return b}
const micro=text=>text.split(" ")[1]??"";
const tone=kind=>kind==="rw"||kind==="initial"?"rw":/real-time|process|session/.test(kind)?"time":"";
const inkOf=kind=>tone(kind)==="rw"?"var(--bad)":tone(kind)==="time"?"var(--dim)":"var(--accent)";

function picture(){
 const box=el("cards"),steps=el("steps");box.textContent="";steps.textContent="";box.className="";box.style.cssText="";
 el("explanation").textContent=chosen?chosen.explanation:"";
 el("picture").hidden=!chosen||!marked.size;if(!chosen||!marked.size)return;
 // Where there is room: beside a tall lattice, under a short one, or by itself.
 const small=chosen.cycle.length<=4&&innerWidth>1000;
 if(small&&D.transactions)el("right").append(el("picture"));
 else if(small&&D.models.length<3)el("left").append(el("picture"));
 else el("pair").after(el("picture"));
 if(chosen.cycle.length){
  el("picture-title").textContent="Each comes before the next, and the last before the first";
  ring(box);
  chosen.cycle.forEach((e,n)=>{const li=make("li","",undefined,steps),b=make("b","",(n+1)+". "+e[2],li);
   b.style.color=inkOf(e[2]);li.append(e[4])});
  if(chosen.cycle_steps>chosen.cycle.length)make("li","","… and "+(chosen.cycle_steps-chosen.cycle.length)+" more steps",steps)}
 else if(order.length){
  el("picture-title").textContent="The order that gets furthest, and what cannot come next";
  box.className="flow";const last=order.slice(-8),from=order.length-last.length;
  if(from||chosen.order_begins>1)make("span","then","… →",box);
  last.forEach((i,n)=>{if(n)make("span","then","→",box);card(i,new Set,"",box).querySelector("b").textContent=rank.get(i)+"."});
  make("span","no","✕",box);
  [...stuck].slice(0,6).forEach(i=>card(i,new Set,"stuck",box));
  if(stuck.size>6)make("span","then","and "+(stuck.size-6)+" more",box)}
 else{
  const few=stuck.size?[...stuck].slice(0,12):witness.slice(-12);
  el("picture-title").textContent=chosen.status==="unknown"?"How far the check came":"The operations it shows in";
  box.className="flow";for(const i of few)card(i,new Set([chosen.key]),stuck.has(i)?"stuck":"",box)}}

function ring(box){
 const cycle=chosen.cycle,closed=cycle.at(-1)[1]===cycle[0][0];
 const stops=cycle.map(e=>e[0]);if(!closed)stops.push(cycle.at(-1)[1]);
 const n=stops.length,wide=el("stage").clientWidth||900;
 const columns=n<=2?n:n===3?2:Math.ceil(n/2),longest=Math.max(...cycle.map(e=>(e[2]+" "+e[3]).length));
 const gap=Math.min(230,Math.max(n===2?190:120,longest*7.4+74));
 const most=Math.max(...stops.map(s=>{const i=at(s);return i===undefined?8:Math.max(...lines(i).map(t=>t.length),20)}));
 const room=(wide-4-(columns-1)*gap)/columns,cardWidth=Math.max(190,Math.min(360,most*7.9+30,Math.max(room,190)));
 box.className="ring";const root=svg("svg",{width:1,height:1},box);
 const defs=svg("defs",{},root);
 for(const [id,c] of [["rw","bad"],["time","dim"],["plain","accent"]]){
  const m=svg("marker",{id:"tip-"+id,viewBox:"0 0 10 10",refX:9,refY:5,markerWidth:9,markerHeight:9,
   markerUnits:"userSpaceOnUse",orient:"auto"},defs);svg("path",{d:"M0 .5L10 5L0 9.5z",fill:`var(--${c})`},m)}
 const cards=stops.map((s,p)=>{const i=at(s);if(i===undefined)return null;
  const keys=new Set([cycle[p]?.[3],cycle[(p+n-1)%n]?.[3]]);
  const c=card(i,keys,"",box);c.style.width=cardWidth+"px";return c});
 const high=p=>cards[p]?.offsetHeight??40,top=[...Array(columns).keys()],bottom=[...Array(n-columns).keys()].map(p=>p+columns);
 const topHeight=Math.max(...top.map(high)),bottomHeight=bottom.length?Math.max(...bottom.map(high)):0;
 const total=columns*cardWidth+(columns-1)*gap,offset=Math.max(0,(wide-4-total)/2),pad=n===2?14:6,below=topHeight+(bottom.length?74:0);
 const boxes=[];
 top.forEach(p=>boxes[p]={x:offset+p*(cardWidth+gap),y:pad+(topHeight-high(p))/2,w:cardWidth,h:high(p)});
 bottom.forEach((p,j)=>{const column=columns-1-j-(columns-bottom.length)/2;
  boxes[p]={x:offset+column*(cardWidth+gap),y:pad+below+(bottomHeight-high(p))/2,w:cardWidth,h:high(p)}});
 boxes.forEach((b,p)=>{if(cards[p]){cards[p].style.left=b.x+"px";cards[p].style.top=b.y+"px"}});
 const width=Math.max(total+offset,10),height=pad*2+below+bottomHeight+4;
 box.style.width=width+"px";box.style.height=height+"px";root.setAttribute("width",width);root.setAttribute("height",height);
 cycle.forEach((e,p)=>{
  const a=boxes[p],b=boxes[(p+1)%n];let path,x,y;if(!a||!b)return;
  const ax=a.x+a.w/2,bx=b.x+b.w/2,ay=a.y+a.h/2,by=b.y+b.h/2;
  if(n===1){path=`M${a.x+a.w} ${ay-8}c60 -20 60 36 2 16`;x=a.x+a.w+70;y=ay}
  else if(n===2){const s=p===0?-1:1,y1=Math.min(a.y+a.h,b.y+b.h),y0=Math.max(a.y,b.y),m=(y0+y1)/2+s*Math.min(16,(y1-y0)/4);
   const x1=p===0?a.x+a.w+3:a.x-3,x2=p===0?b.x-4:b.x+b.w+4;x=(x1+x2)/2;y=m+s*17;
   path=`M${x1} ${m}Q${x} ${m+s*34} ${x2} ${m}`}
  else if(Math.abs(ay-by)<60||(p<columns-1)||(p>=columns&&p<n-1)){const right=bx>ax,x1=right?a.x+a.w+3:a.x-3,x2=right?b.x-4:b.x+b.w+4;
   const row=p<columns?pad+topHeight/2:pad+below+bottomHeight/2;x=(x1+x2)/2;y=row;path=`M${x1} ${row}L${x2} ${row}`}
  else if(Math.abs(ax-bx)<4){const down=by>ay,y1=down?a.y+a.h+3:a.y-3,y2=down?b.y-4:b.y+b.h+4;x=ax;y=(y1+y2)/2;path=`M${ax} ${y1}L${bx} ${y2}`}
  else if(by>ay){const y1=a.y+a.h+3,x2=bx<ax?b.x+b.w+4:b.x-4;path=`M${ax} ${y1}Q${ax} ${by} ${x2} ${by}`;
   x=.91*ax+.09*x2;y=.49*y1+.51*by}
  else{const y2=b.y+b.h+4,x1=bx<ax?a.x-3:a.x+a.w+3;path=`M${x1} ${ay}Q${bx} ${ay} ${bx} ${y2}`;x=.09*x1+.91*bx;y=.51*ay+.49*y2}
  svg("path",{d:path,fill:"none",stroke:inkOf(e[2]),"stroke-width":2,"marker-end":`url(#tip-${tone(e[2])||"plain"})`},root);
  const pill=make("span","why "+tone(e[2]),`${p+1}. ${e[2]}${e[3]?" "+e[3]:""}`,box);pill.style.left=x+"px";pill.style.top=y+"px";
  pill.title=e[4]})}

// The timeline ---------------------------------------------------------------------------------------------------
const view=el("view"),map=el("map"),g=view.getContext("2d"),m=map.getContext("2d");
const LEFT=112,TOP=26,ROW=40,BAR=24,FONT='12.5px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif';
let from=0,to=1,scrolled=0,shownRows=[],rowAt=new Map,width=800,height=300,hits=null,density=null,queued=false,crowded=false;
el("timeline").hidden=!N;map.hidden=D.events<=60;view.style.borderRadius=map.hidden?"8px":"";
if(N<D.total)el("cut").textContent=number(N)+" of "+number(D.total)+" operations, those around the first finding";
el("clock").hidden=!O.begun;

function arrange(onlyWitness){
 shownRows=[...rows.keys()].filter(r=>!onlyWitness||inRow.has(r));if(!shownRows.length)shownRows=[...rows.keys()];
 rowAt=new Map(shownRows.map((r,place)=>[r,place]));el("only").setAttribute("aria-pressed",onlyWitness);
 el("only").hidden=!inRow.size||inRow.size===D.processes.length;
 height=TOP+Math.min(Math.max(shownRows.length,2),13)*ROW+6;view.style.height=height+"px";scrolled=0;density=null;resize()}
function resize(){
 const d=devicePixelRatio||1;width=view.clientWidth||800;
 view.width=width*d;view.height=height*d;map.width=width*d;map.height=38*d;
 g.setTransform(d,0,0,d,0,0);m.setTransform(d,0,0,d,0,0);density=null;draw()}
const X=p=>LEFT+(p-from)/(to-from)*(width-LEFT);
const position=x=>from+(x-LEFT)/(width-LEFT)*(to-from);
const maxScroll=()=>Math.max(0,shownRows.length*ROW-(height-TOP-6));
function scrollTo(y){scrolled=Math.max(0,Math.min(maxScroll(),y))}
function show(a,b){
 const least=byTime?2:3,most=axisEnd*1.06+2;let size=Math.min(Math.max(b-a,least),most),middle=(a+b)/2;
 middle=Math.max(0,Math.min(axisEnd,middle));from=middle-size/2;to=middle+size/2;hideTip();draw()}
function draw(){if(!queued){queued=true;requestAnimationFrame(()=>{queued=false;paint();paintMap()})}}

function linearize(){
 // A point for each operation of the order, inside it and after the point before: drawn as a line.
 points=[];if(!order.length)return;
 let end=0;for(const i of order)end=Math.max(end,S[i],O.outcomes[i]==="o"?E[i]:0);
 const latest=[];let bound=end;
 for(let n=order.length-1;n>=0;n--){const i=order[n];bound=Math.min(bound,O.outcomes[i]==="o"?E[i]:end);latest[n]=bound}
 let before=-1;
 order.forEach((i,n)=>{const low=Math.max(before,S[i]);before=low+Math.max(0,latest[n]-low)*.35;points.push(before)})}

function ticks(){
 const rough=(to-from)/Math.max(2,(width-LEFT)/110),power=10**Math.floor(Math.log10(rough));
 let step=[1,2,5,10].map(k=>k*power).find(s=>s>=rough);if(!byTime)step=Math.max(1,step);
 const list=[];for(let t=Math.ceil(Math.max(0,from)/step)*step;t<=Math.min(to,axisEnd);t+=step)list.push(t);
 return [list,step]}
function clock(us,step){
 if(us===0)return "0";
 const [unit,size]=step>=1e6||us>=1e7?["s",1e6]:step>=1e3||us>=1e4?["ms",1e3]:["µs",1];
 const digits=Math.max(0,Math.min(6,Math.ceil(-Math.log10((step||size/100)/size)-1e-9)));
 return number(+(us/size).toFixed(digits))+" "+unit}

function bar(i,y){
 const s=S[i],e=E[i];if(e<from||s>to)return;
 const left=Math.max(X(s),LEFT-12),right=Math.max(Math.min(X(e),width+12),left+2),w=right-left,h=BAR,o=O.outcomes[i];
 const bad=stuck.has(i),mine=marked.has(i),faded=hits?!hits.has(i):chosen&&marked.size&&!mine;
 g.globalAlpha=faded?hits?.22:.6:1;
 if(w<=3&&i!==picked&&i!==hover&&(!rank.has(i)||crowded)){
  g.fillStyle=colour(bad?"bad":mine?"accent":"edge");g.fillRect(left,y,w,h);g.globalAlpha=1;return}
 g.beginPath();if(w>8)g.roundRect(left,y,w,h,5);else g.rect(left,y,w,h);
 g.fillStyle=colour(bad?"bad-soft":mine?"accent-soft":"bar");
 if(o==="f")g.fillStyle=colour("paper");
 else if(o==="o"&&w<=5&&!mine)g.fillStyle=colour("edge");
 if(o==="i"){const fade=g.createLinearGradient(left,0,right,0);fade.addColorStop(0,g.fillStyle);fade.addColorStop(1,colour("paper"));g.fillStyle=fade}
 g.fill();
 if(w>5||mine){g.lineWidth=bad||mine?1.6:1;g.strokeStyle=colour(bad?"bad":mine?"accent":"edge");
  if(o!=="o")g.setLineDash([4,3]);g.stroke();g.setLineDash([])}
 if(i===picked||i===hover){g.lineWidth=2.4;g.strokeStyle=colour("ink");g.stroke()}
 const n=rank.get(i),size=n?Math.max(9,g.measureText(n).width/2+5):0;let x=Math.max(left,LEFT)+7;
 const above=n&&w<2*size+10;
 if(above&&!crowded&&left>=LEFT&&left<width){g.fillStyle=colour("accent");g.font="bold 11"+FONT.slice(4);
  g.fillText(n,(left+right-g.measureText(n).width)/2,y-2.5);g.font=FONT}
 if(w>22){
  g.save();g.beginPath();g.rect(left+1,y,w-5,h);g.clip();
  if(n&&!above){g.beginPath();g.roundRect(x-3,y+3,size*2-2,h-6,8);
   g.fillStyle=colour("accent");g.fill();g.fillStyle=colour("paper");g.fillText(n,x-3+size-1-g.measureText(n).width/2,y+h/2+4.5);x+=size*2}
  g.fillStyle=colour(bad?"bad":o==="f"?"dim":"ink");g.fillText((bad?"✕ ":"")+label(i),x,y+h/2+4.5);g.restore()}
 g.globalAlpha=1}

function paint(){
 g.clearRect(0,0,width,height);g.font=FONT;g.textBaseline="alphabetic";
 const perPixel=(to-from)/(width-LEFT),first=Math.floor(scrolled/ROW),last=Math.min(shownRows.length,first+Math.ceil((height-TOP)/ROW)+1);
 const [marks,step]=ticks();
 crowded=search(points,p=>p>to)-search(points,p=>p>=from)>300;
 g.strokeStyle=colour("line");g.lineWidth=1;
 for(const t of marks){const x=Math.round(X(t))+.5;if(x<LEFT)continue;g.beginPath();g.moveTo(x,TOP-4);g.lineTo(x,height);g.stroke()}
 g.save();g.beginPath();g.rect(0,TOP-5,width,height);g.clip();
 for(const [place,,time] of D.faults){const p=byTime?time:place;if(p<from||p>to||p<0)continue;
  g.fillStyle=colour("maybe");g.fillRect(X(p)-.75,TOP,1.5,height)}
 for(let v=first;v<last;v++){
  const row=rows[shownRows[v]],y=TOP+v*ROW-scrolled+(ROW-BAR)/2;
  g.fillStyle=colour("line");g.fillRect(LEFT,TOP+(v+1)*ROW-scrolled-.5,width-LEFT,1);
  let j=search(row,i=>E[i]>=from);
  while(j<row.length&&S[row[j]]<=to){
   const i=row[j];
   if(E[i]-S[i]<1.5*perPixel&&j+1<row.length&&S[row[j+1]]-S[i]<2*perPixel){
    // Too narrow to tell apart: one block up to the next pixel, and on behind it.
    const until=S[i]+2*perPixel,k=Math.max(j+1,search(row,o=>S[o]>=until)),x=X(S[i]);
    g.globalAlpha=hits?.2:chosen&&marked.size?.6:1;g.fillStyle=colour("edge");
    g.fillRect(Math.max(x,LEFT),y,Math.max(1.5,Math.min(X(E[row[k-1]])-x,2.2)),BAR);g.globalAlpha=1;j=k;continue}
   bar(i,y);j++}
  const mine=inRow.get(shownRows[v])??[];let drawn=-9;
  for(let j=search(mine,i=>E[i]>=from);j<mine.length&&S[mine[j]]<=to;j++){
   const i=mine[j],x=X(S[i]);if(x-drawn<2&&X(E[i])-drawn<3&&!stuck.has(i))continue;
   bar(i,y);drawn=x}}
 if(hits){let told=0;for(const i of hits){const v=rowAt.get(O.row[i]);if(v===undefined||v<first||v>=last||E[i]<from||S[i]>to)continue;
  if(++told>3000)break;bar(i,TOP+v*ROW-scrolled+(ROW-BAR)/2)}}
 lineOfOrder();arrows();
 g.fillStyle=colour("paper");g.fillRect(0,TOP,LEFT-1,height);g.fillStyle=colour("line");g.fillRect(LEFT-1,0,1,height);
 for(let v=first;v<last;v++){
  const r=shownRows[v],name=D.processes[r],text=/^-?\d+$/.test(name)?"process "+name:name;
  g.fillStyle=colour(inRow.has(r)?"ink":"dim");g.fillText(fit(text,LEFT-18),10,TOP+v*ROW-scrolled+ROW/2+4)}
 g.restore();
 g.fillStyle=colour("dim");g.fillText(byTime?"time":"event",10,17);
 for(const t of marks){const x=X(t);if(x<LEFT-2)continue;const text=byTime?clock(t,step):number(t);
  const w=g.measureText(text).width;g.fillText(text,Math.min(Math.max(x-w/2,LEFT+2),width-w-3),17)}
 if(maxScroll()){const all=shownRows.length*ROW,part=height-TOP;g.fillStyle=colour("edge");
  g.fillRect(width-5,TOP+scrolled/all*part,4,Math.max(18,part/all*part))}
 el("count").textContent=hits?many(hits.size,"operation")+" found":
  chosen&&marked.size?many(marked.size,"operation")+" of the witness marked":""}
function fit(text,room){if(g.measureText(text).width<=room)return text;
 let n=Math.min(text.length,40);while(n>1&&g.measureText(text.slice(0,n)+"…").width>room)n--;return text.slice(0,n)+"…"}
const middleOf=i=>TOP+rowAt.get(O.row[i])*ROW-scrolled+ROW/2;

function lineOfOrder(){
 if(!order.length)return;
 const y=i=>middleOf(i)+BAR/2;let pen=false;
 // Points only go forward: those in view, and one on either side for the line to come from and go to.
 const first=Math.max(0,search(points,p=>p>=from)-1),end=Math.min(order.length,search(points,p=>p>to)+1);
 g.strokeStyle=g.fillStyle=colour("accent");g.lineWidth=1.6;g.globalAlpha=.85;g.lineJoin="round";
 if(!crowded){
  g.beginPath();
  for(let n=first;n<end;n++){const i=order[n];if(!rowAt.has(O.row[i])){pen=false;continue}
   const x=Math.max(-4000,Math.min(width+4000,X(points[n])));pen?g.lineTo(x,y(i)):g.moveTo(x,y(i));pen=true}
  g.stroke();
  for(let n=first;n<end;n++){const i=order[n];if(!rowAt.has(O.row[i]))continue;
   g.beginPath();g.arc(X(points[n]),y(i),3.2,0,7);g.fill()}}
 const last=order.at(-1),x0=X(points.at(-1));g.strokeStyle=g.fillStyle=colour("bad");
 if(rowAt.has(O.row[last]))for(const i of [...stuck].slice(0,6)){if(!rowAt.has(O.row[i]))continue;
  const low=Math.max(points.at(-1),S[i]),x=X(Math.min(E[i],low+Math.max(0,E[i]-low)*.2));
  const edge=middleOf(i)+(y(last)<middleOf(i)?-1:1)*BAR/2;
  g.setLineDash([5,4]);g.beginPath();g.moveTo(x0,y(last));g.lineTo(x,edge);g.stroke();g.setLineDash([]);
  g.lineWidth=2.2;g.beginPath();g.moveTo(x-4,edge-4);g.lineTo(x+4,edge+4);g.moveTo(x+4,edge-4);g.lineTo(x-4,edge+4);g.stroke();g.lineWidth=1.6}
 g.globalAlpha=1}

function arrows(){
 if(!chosen||chosen.cycle.length>12)return;
 chosen.cycle.forEach((e,n)=>{
  const a=at(e[0]),b=at(e[1]);if(a===undefined||b===undefined||!rowAt.has(O.row[a])||!rowAt.has(O.row[b]))return;
  const cut=x=>Math.max(LEFT+4,Math.min(width-4,x)),half=BAR/2,share=(n+1)/(chosen.cycle.length+1);
  const [l1,r1,l2,r2]=[S[a],E[a],S[b],E[b]].map(p=>cut(X(p))),left=Math.max(l1,l2),right=Math.min(r1,r2);
  const same=O.row[a]===O.row[b],near=Math.abs(rowAt.get(O.row[a])-rowAt.get(O.row[b]))===1;
  let x1,x2,y1=middleOf(a),y2=middleOf(b),bendX,bendY;
  if(right-left>40)x1=x2=same||near?left+(right-left)*share*.8:right-Math.min(30,(right-left)*.1);
  else if(l2>r1-40){x1=r1-Math.min(14,(r1-l1)/3);x2=l2+Math.min(14,(r2-l2)/3)}
  else{x1=l1+Math.min(14,(r1-l1)/3);x2=r2-Math.min(14,(r2-l2)/3)}
  if(same){y1-=half;y2-=half;bendX=(x1+x2)/2;bendY=y1-18}
  else{const down=y2>y1?1:-1;y1+=down*half;y2-=down*(half+1);const far=Math.hypot(x2-x1,y2-y1),bow=far>70?Math.min(44,far*.2)/far:0;
   bendX=(x1+x2)/2-(y2-y1)*bow;bendY=(y1+y2)/2+(x2-x1)*bow}
  const ink=colour(tone(e[2])==="rw"?"bad":tone(e[2])==="time"?"dim":"accent");
  g.strokeStyle=g.fillStyle=ink;g.lineWidth=2;g.beginPath();g.moveTo(x1,y1);g.quadraticCurveTo(bendX,bendY,x2,y2);g.stroke();
  const turn=Math.atan2(y2-bendY,x2-bendX);g.beginPath();g.moveTo(x2,y2);
  g.lineTo(x2-9*Math.cos(turn-.42),y2-9*Math.sin(turn-.42));g.lineTo(x2-9*Math.cos(turn+.42),y2-9*Math.sin(turn+.42));g.fill();
  const text=(n+1)+". "+e[2]+(e[3]?" "+fit(e[3],90):"");g.font="bold 11.5"+FONT.slice(4);const w=g.measureText(text).width+10;
  let x=.25*x1+.5*bendX+.25*x2,y=.25*y1+.5*bendY+.25*y2;
  if(near&&Math.abs(x2-x1)<w)x+=w/2+6+Math.abs(x2-x1)/2;
  else if(!same&&Math.abs(x2-x1)<w){
   // On a bar, not between two, where the labels of the short arrows are.
   y=TOP+(Math.floor((y-TOP+scrolled)/ROW)+.5)*ROW-scrolled;const t=(y-y1)/(y2-y1);
   x=(1-t)*(1-t)*x1+2*t*(1-t)*bendX+t*t*x2}
  g.fillStyle=colour("paper");g.beginPath();g.roundRect(x-w/2,y-7.5,w,15,7);g.fill();
  g.fillStyle=ink;g.fillText(text,x-w/2+5,y+4);g.font=FONT})}

function paintMap(){
 if(map.hidden)return;
 if(!density){
  const bins=density=new Float32Array(Math.max(1,Math.ceil(width-LEFT)));
  for(const r of shownRows)for(const i of rows[r])bins[Math.min(bins.length-1,Math.floor(S[i]/axisEnd*bins.length))]++}
 const most=density.reduce((a,b)=>Math.max(a,b),1),h=38,scale=p=>LEFT+p/axisEnd*(width-LEFT);
 m.clearRect(0,0,width,h);m.font=FONT;m.fillStyle=colour("dim");m.fillText("everything",10,24);
 m.fillStyle=colour("edge");for(let b=0;b<density.length;b++)if(density[b]){const y=Math.max(2,density[b]/most*26);m.fillRect(LEFT+b,h-3-y,1,y)}
 m.fillStyle=colour("maybe");for(const [place,,time] of D.faults){const p=byTime?time:place;if(p>=0)m.fillRect(scale(p),0,1,h)}
 for(const i of witness){m.fillStyle=colour(stuck.has(i)||chosen.cycle.length?"bad":"accent");m.fillRect(scale(S[i])-1,stuck.has(i)?0:h-12,2.5,stuck.has(i)?h:12)}
 const a=Math.max(LEFT,scale(from)),b=Math.min(width,scale(to));
 m.globalAlpha=.16;m.fillStyle=colour("accent");m.fillRect(a,0,Math.max(3,b-a),h);m.globalAlpha=1;
 m.strokeStyle=colour("accent");m.lineWidth=1.5;m.strokeRect(a+.75,.75,Math.max(3,b-a-1.5),h-1.5)}

// What is under the pointer: the row by division, the operation by search.
function under(x,y){
 if(x<LEFT||y<TOP)return -1;
 const r=shownRows[Math.floor((y-TOP+scrolled)/ROW)];if(r===undefined)return -1;
 const p=position(x),slack=6*(to-from)/(width-LEFT),away=i=>p<S[i]?S[i]-p:p>E[i]?p-E[i]:0;
 let best=-1,distance=slack;
 const mine=inRow.get(r)??[],row=rows[r];
 for(const list of [mine,row]){
  const j=search(list,i=>E[i]>=p);
  for(const i of [list[j-1],list[j]])if(i!==undefined&&away(i)<distance){best=i;distance=away(i)}
  if(best>=0&&distance===0)break}
 return best}

function tip(i,x,y){
 const box=el("tip");box.textContent="";box.dataset.operation=indexOf(i);
 const who=make("div","who",undefined,box);make("b","",nameOf(i),who);who.append(" · "+process(i)+" · "+OUTCOME[O.outcomes[i]]);
 for(const text of lines(i))make("code","",text,box);
 if(stuck.has(i))make("div","bad","cannot come next in any order",box);
 else if(rank.has(i))make("div","good","number "+rank.get(i)+" in the order found",box);
 if(chosen)chosen.cycle.forEach((e,n)=>{if(at(e[0])===i)make("div",tone(e[2])==="rw"?"bad":"good",`${n+1}. before ${nameOf(at(e[1])??0)}: ${e[4]||e[2]}`,box)});
 let when="events "+number(O.invoked[i])+" to "+(O.completed[i]<0?"the end":number(O.completed[i]));
 if(O.begun&&O.begun[i]>=0){when+=" · from "+clock(O.begun[i],0);
  if(O.ended[i]>=O.begun[i])when+=", for "+(O.ended[i]===O.begun[i]?"under 1 µs":clock(O.ended[i]-O.begun[i],0))}
 make("div","who",when,box);
 box.style.display="block";
 const w=box.offsetWidth,h=box.offsetHeight;
 box.style.left=Math.max(6,Math.min(x+16,innerWidth-w-8))+"px";
 box.style.top=(y+18+h>innerHeight?Math.max(6,y-h-12):y+18)+"px"}
function hideTip(){el("tip").style.display="none"}
function placeOf(i){const box=view.getBoundingClientRect(),a=Math.max(LEFT,X(S[i])),b=Math.min(width,X(E[i]));
 return {x:box.left+(a+b)/2,y:box.top+middleOf(i)}}
function tipAt(i){const p=placeOf(i);tip(i,p.x,p.y)}

function bring(i){
 if(!rowAt.has(O.row[i]))arrange(false);
 const y=rowAt.get(O.row[i])*ROW;if(y<scrolled||y>scrolled+height-TOP-ROW*1.5)scrollTo(y-(height-TOP)/2)}
function reveal(i){
 bring(i);const middle=(S[i]+Math.min(E[i],S[i]+(to-from)))/2;
 if(S[i]<from||Math.min(E[i],S[i]+(to-from)/2)>to){const size=Math.min(to-from,Math.max(40*(E[i]-S[i]),byTime?2000:60));show(middle-size/2,middle+size/2)}
 draw()}
function focus(){
 const mine=chosen?chosen.cycle.length?places(chosen.cycle.map(e=>e[0])):stuck.size?[...[...stuck].slice(0,6),...order.slice(-8)]:witness.slice(-30):[];
 if(!byTime&&axisEnd<=60&&shownRows.length<=13){whole();return}
 if(!mine.length){const size=Math.min(axisEnd,byTime?axisEnd:400);show(-size*.02,size*1.02);return}
 const ends=mine.map(i=>O.outcomes[i]==="o"?E[i]:Math.min(E[i],S[i]+(byTime?1000:6)));
 let a=Math.min(...mine.map(i=>S[i])),b=Math.max(...ends);const pad=(b-a)*.06+(byTime?1:.6);
 show(a-pad,b+pad);const tops=mine.map(i=>rowAt.get(O.row[i])??0);scrollTo(Math.min(...tops)*ROW-ROW);draw()}
function whole(){show(-axisEnd*.01,axisEnd*1.01)}
function zoom(factor,share=.5){const size=to-from,p=from+share*size,next=Math.min(Math.max(size*factor,byTime?2:3),axisEnd*1.06+2);show(p-share*next,p-share*next+next)}
function step(by){
 if(!witness.length)return;
 const now=witness.indexOf(picked),next=now<0?by>0?0:witness.length-1:(now+by+witness.length)%witness.length;
 picked=witness[next];reveal(picked);tipAt(picked)}

let drag=null;
view.onpointerdown=e=>{drag={x:e.clientX,y:e.clientY,from,to,scrolled,moved:false};view.setPointerCapture(e.pointerId)};
view.onpointerup=e=>{if(drag&&!drag.moved){const box=view.getBoundingClientRect();picked=under(e.clientX-box.left,e.clientY-box.top);draw()}
 drag=null;view.classList.remove("dragged")};
view.onpointercancel=()=>{drag=null;view.classList.remove("dragged")};
view.onpointermove=e=>{
 if(drag){
  if(Math.abs(e.clientX-drag.x)+Math.abs(e.clientY-drag.y)>3)drag.moved=true;if(!drag.moved)return;
  view.classList.add("dragged");hideTip();const move=(drag.x-e.clientX)*(drag.to-drag.from)/(width-LEFT);
  scrollTo(drag.scrolled+drag.y-e.clientY);show(drag.from+move,drag.to+move);return}
 const box=view.getBoundingClientRect(),i=under(e.clientX-box.left,e.clientY-box.top);
 if(i!==hover){hover=i;draw()}
 i<0?hideTip():tip(i,e.clientX,e.clientY)};
view.onpointerleave=()=>{if(hover>=0){hover=-1;draw()}hideTip()};
view.ondblclick=e=>zoom(.4,Math.max(0,(e.clientX-view.getBoundingClientRect().left-LEFT)/(width-LEFT)));
view.addEventListener("wheel",e=>{
 if(Math.abs(e.deltaX)>Math.abs(e.deltaY)){e.preventDefault();const by=e.deltaX*(to-from)/(width-LEFT);show(from+by,to+by);return}
 if(!e.ctrlKey&&!e.metaKey&&document.activeElement!==view)return;
 e.preventDefault();if(e.shiftKey){scrollTo(scrolled+e.deltaY);draw();return}
 zoom(Math.exp(e.deltaY*.0016),Math.max(0,Math.min(1,(e.clientX-view.getBoundingClientRect().left-LEFT)/(width-LEFT))))},{passive:false});
view.onkeydown=e=>{
 if(e.ctrlKey||e.metaKey||e.altKey)return;
 const by=(to-from)*.15,act={ArrowLeft:()=>show(from-by,to-by),ArrowRight:()=>show(from+by,to+by),
  ArrowUp:()=>{scrollTo(scrolled-ROW);draw()},ArrowDown:()=>{scrollTo(scrolled+ROW);draw()},
  "+":()=>zoom(.6),"=":()=>zoom(.6),"-":()=>zoom(1.6),"0":whole,Home:whole,w:focus,n:()=>step(1),p:()=>step(-1),
  Escape:()=>{picked=-1;hideTip();draw()}}[e.key];
 if(act){e.preventDefault();act()}};
const pan=e=>{const p=(e.clientX-map.getBoundingClientRect().left-LEFT)/(width-LEFT)*axisEnd,half=(to-from)/2;show(p-half,p+half)};
map.onpointerdown=e=>{map.setPointerCapture(e.pointerId);pan(e);map.onpointermove=pan};
map.onpointerup=map.onpointercancel=()=>map.onpointermove=null;
el("focus").onclick=focus;el("whole").onclick=whole;el("in").onclick=()=>zoom(.5);el("out").onclick=()=>zoom(2);
el("only").onclick=()=>{arrange(el("only").getAttribute("aria-pressed")!=="true");draw()};
el("clock").onclick=()=>{byTime=!byTime;el("clock").setAttribute("aria-pressed",byTime);lay();linearize();density=null;focus()};
let nextHit=0;
el("find").oninput=e=>{
 const needle=e.target.value.trim().toLowerCase();nextHit=0;hits=null;
 if(needle){hits=new Set;for(let i=0;i<N;i++)if((nameOf(i)+" "+label(i)+" "+process(i)).toLowerCase().includes(needle))hits.add(i)}
 draw()};
el("find").onkeydown=e=>{
 if(e.key==="Escape"){e.target.value="";hits=null;draw()}
 if(e.key==="Enter"&&hits?.size){picked=[...hits][nextHit++%hits.size];reveal(picked);tipAt(picked)}};
addEventListener("keydown",e=>{if(e.key==="/"&&document.activeElement!==el("find")){e.preventDefault();el("find").focus()}});

function legend(){
 const box=el("legend");box.textContent="";
 const say=(style,text)=>{const s=make("span","",undefined,box),i=make("i","","",s);Object.assign(i.style,style);s.append(text)};
 if(witness.length)say({background:"var(--accent-soft)",borderColor:"var(--accent)"},"witness");
 if(order.length)say({background:"var(--accent)"},"its number in the order found; the line goes from point to point");
 if(stuck.size)say({background:"var(--bad-soft)",borderColor:"var(--bad)"},"cannot be ordered");
 say({background:"var(--bar)",borderColor:"var(--edge)"},marked.size?"other operations":"operation");
 if(D.outcomes.info)say({background:"linear-gradient(90deg,var(--bar),transparent)",border:"1.5px dashed var(--edge)"},"unknown outcome: any time later, or never");
 if(D.outcomes.fail)say({border:"1.5px dashed var(--edge)"},"failed ✗");
 if(D.faults.length)say({background:"var(--maybe)",width:"3px"},"fault")}
function repaint(){colours={};draw()}
el("theme").onclick=()=>{
 const root=document.documentElement,dark=getComputedStyle(root).colorScheme==="dark";
 root.dataset.theme=dark?"light":"dark";repaint()};
matchMedia("(prefers-color-scheme:dark)").addEventListener("change",repaint);
let wide=innerWidth;
addEventListener("resize",()=>{resize();if(innerWidth!==wide){wide=innerWidth;picture()}});
// For scripts and tests: where an operation is on the screen.
window.comityPage={placeOf:index=>placeOf(at(index))};
choose(FIRST);
})();
