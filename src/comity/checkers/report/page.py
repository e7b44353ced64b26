"""The page that `report.html` fills: layout, style and script. Values reach it as text, never as markup."""

PAGE = r"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>comity check</title>
<meta name="viewport" content="width=device-width">
<style>
:root{color-scheme:light dark;--ink:#1c2430;--dim:#667;--paper:#fff;--line:#d5dae2;--ok:#2f9e63;--bad:#d1383d;
--maybe:#c98a12;--bar:#8fa3bf}
@media(prefers-color-scheme:dark){:root{--ink:#e4e8ee;--dim:#98a2b3;--paper:#14181f;--line:#2c3440;--bar:#50627d}}
body{margin:0;font:14px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper)}
header,section{padding:12px 20px;border-bottom:1px solid var(--line)}
h1{font-size:18px;margin:0}h2{font-size:14px;margin:0 0 8px;color:var(--dim);font-weight:600}
.valid{color:var(--ok)}.violation{color:var(--bad)}.unknown{color:var(--maybe)}
#models{display:flex;flex-wrap:wrap;gap:6px}
#models span{border:1px solid currentColor;border-radius:12px;padding:1px 10px}
#lattice{max-width:100%;overflow-x:auto}
#verdicts button{display:block;width:100%;text-align:left;font:inherit;color:inherit;background:none;
border:1px solid var(--line);border-radius:6px;padding:6px 10px;margin:4px 0;cursor:pointer}
#verdicts button.on{border-color:var(--bad);border-width:2px}
#tools{display:flex;gap:8px;align-items:center;margin-bottom:6px;flex-wrap:wrap}
input,#tools button{font:inherit;color:inherit;background:none;border:1px solid var(--line);border-radius:4px;
padding:3px 8px}
#view{width:100%;height:420px;border:1px solid var(--line);border-radius:6px;touch-action:none;cursor:grab}
#tip{position:fixed;display:none;max-width:420px;background:var(--paper);border:1px solid var(--line);
border-radius:6px;padding:6px 10px;pointer-events:none;white-space:pre-wrap;box-shadow:0 2px 12px #0004}
svg text{fill:var(--ink);font:12px system-ui,sans-serif}
</style></head><body>
<header><h1 id="title"></h1><div id="summary"></div></header>
<section><h2>Models</h2><div id="models"></div><div id="lattice"></div></section>
<section><h2>What was found</h2><div id="verdicts"></div></section>
<section id="graphpart"><h2>Each comes before the next, and the last before the first</h2>
<div id="graph"></div></section>
<section><h2>Timeline</h2><div id="tools"><input id="find" placeholder="find f, key, value, process">
<button id="whole">whole history</button><button id="focus">witness</button><span id="count"></span></div>
<canvas id="view"></canvas></section><div id="tip"></div>
<script type="application/json" id="data">/*DATA*/</script>
<script>
"use strict";(()=>{
const D=JSON.parse(document.getElementById("data").textContent);
const el=id=>document.getElementById(id);
const css=name=>getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const NS="http://www.w3.org/2000/svg";
function svg(tag,attributes,parent,text){const e=document.createElementNS(NS,tag);
 for(const k in attributes)e.setAttribute(k,attributes[k]);if(text!==undefined)e.textContent=text;
 if(parent)parent.appendChild(e);return e}
const colour={valid:"--ok",violation:"--bad",unknown:"--maybe"};
el("title").textContent=D.name+": ";
const verdictWord=document.createElement("span");verdictWord.className=D.status;
verdictWord.textContent=D.status;el("title").appendChild(verdictWord);
el("summary").textContent=D.operations.length.toLocaleString()+" operations ("+D.outcomes.ok+" ok, "+
 D.outcomes.fail+" fail, "+D.outcomes.info+" unknown) read as "+D.type+", checked in "+D.seconds+" s. "+
 D.established+".";
for(const [name,status] of D.models){const s=document.createElement("span");s.className=status;
 s.textContent=name;s.title=status;el("models").appendChild(s)}
(function lattice(){
 const depth={},models=new Map(D.models.map(m=>[m[0],m]));
 const above=new Map(D.models.map(m=>[m[0],[]]));
 for(const [n,,weaker] of D.models)for(const w of weaker)above.get(w).push(n);
 const level=n=>depth[n]??(depth[n]=Math.max(-1,...above.get(n).map(level))+1);
 const rows=[];for(const [n] of D.models)(rows[level(n)]??=[]).push(n);
 const width=Math.max(...rows.map(r=>r.length))*230,at={};
 const root=svg("svg",{width,height:rows.length*46+10},el("lattice"));
 rows.forEach((r,y)=>r.forEach((n,x)=>at[n]=[(x+.5)*width/r.length,y*46+20]));
 for(const [n,,weaker] of D.models)for(const w of weaker)svg("line",{x1:at[n][0],y1:at[n][1]+8,x2:at[w][0],
  y2:at[w][1]-12,stroke:css("--line")},root);
 for(const [n,status] of D.models){const t=svg("text",{x:at[n][0],y:at[n][1],"text-anchor":"middle"},root,n);
  t.style.fill="var("+colour[status]+")"}
})();
let chosen=D.verdicts[0]??null,witness=new Set,stuck=new Set,order=new Map;
function choose(v){chosen=v;witness=new Set(v?v.witness:[]);stuck=new Set(v?v.stuck:[]);
 order=new Map((v?v.order:[]).map((o,i)=>[o,i+1]));
 [...el("verdicts").children].forEach((b,i)=>b.classList.toggle("on",D.verdicts[i]===v));cycle();focus()}
D.verdicts.forEach(v=>{const b=document.createElement("button");b.className=v.status;
 const head=(v.anomaly?v.anomaly+": ":"")+(v.status==="unknown"?v.model+" unknown":"not "+v.model)+
  (v.key?" (key "+v.key+")":"");b.textContent=head+". "+v.explanation;b.onclick=()=>choose(v);
 el("verdicts").appendChild(b)});
if(!D.verdicts.length)el("verdicts").textContent="nothing: every model that applies holds";
function name(o){const p=D.operations[o];return "#"+o+" "+p[2]+(p[3]?" "+p[3]:"")+" "+(p[5]||p[4]).slice(0,40)}
function cycle(){const box=el("graph");box.textContent="";const edges=chosen?chosen.cycle:[];
 el("graphpart").style.display=edges.length?"":"none";if(!edges.length)return;
 const nodes=[...new Set(edges.flatMap(e=>[e[0],e[1]]))],r=60+nodes.length*26,w=2*r+420,h=2*r+80;
 const root=svg("svg",{width:w,height:h,viewBox:`0 0 ${w} ${h}`},box),at={};
 const defs=svg("defs",{},root),m=svg("marker",{id:"a",viewBox:"0 0 8 8",refX:7,refY:4,markerWidth:8,
  markerHeight:8,orient:"auto"},defs);svg("path",{d:"M0 0L8 4L0 8z",fill:css("--dim")},m);
 nodes.forEach((n,i)=>{const t=2*Math.PI*i/nodes.length-Math.PI/2;
  at[n]=[w/2+r*Math.cos(t),h/2+r*Math.sin(t)]});
 for(const [a,b,kind,why] of edges){const [x1,y1]=at[a],[x2,y2]=at[b],dx=x2-x1,dy=y2-y1,l=Math.hypot(dx,dy)||1;
  const bx=(x1+x2)/2-dy/l*22,by=(y1+y2)/2+dx/l*22,c=16/l;
  const p=svg("path",{d:`M${x1+dx*c} ${y1+dy*c}Q${bx} ${by} ${x2-dx*c} ${y2-dy*c}`,fill:"none",
   stroke:css("--dim"),"marker-end":"url(#a)"},root);svg("title",{},p,why);
  const t=svg("text",{x:bx,y:by,"text-anchor":"middle"},root,kind);svg("title",{},t,why);
  t.style.fill="var(--bad)";t.style.fontWeight=600}
 for(const n of nodes){svg("circle",{cx:at[n][0],cy:at[n][1],r:5,fill:css("--bad")},root);
  svg("text",{x:at[n][0],y:at[n][1]+(at[n][1]>h/2?20:-12),"text-anchor":"middle"},root,name(n))}}
const canvas=el("view"),g=canvas.getContext("2d");
let from=0,to=Math.max(D.events,1),top0=0,needle="",hover=-1,hits=null;
const LEFT=110,ROW=22;
function scale(){const r=canvas.getBoundingClientRect(),d=devicePixelRatio||1;
 canvas.width=r.width*d;canvas.height=r.height*d;g.setTransform(d,0,0,d,0,0);return r}
function x(e,width){return LEFT+(e-from)/(to-from)*(width-LEFT)}
function draw(){const r=scale(),w=r.width,h=r.height;g.clearRect(0,0,w,h);g.font="12px system-ui";
 const ink=css("--ink"),bar=css("--bar"),bad=css("--bad"),maybe=css("--maybe"),dim=css("--dim"),line=css("--line");
 const first=Math.floor(top0/ROW),last=first+Math.ceil(h/ROW)+1,px=(to-from)/(w-LEFT);
 g.strokeStyle=line;g.fillStyle=dim;
 for(let row=first;row<Math.min(last,D.processes.length);row++){const y=row*ROW-top0;
  g.beginPath();g.moveTo(0,y+ROW);g.lineTo(w,y+ROW);g.stroke();
  g.fillText(D.processes[row].slice(0,14),6,y+15)}
 g.fillStyle=maybe;for(const [e] of D.faults)if(e>=from&&e<=to)g.fillRect(x(e,w),0,1,h);
 const taken=new Map;let shown=0;
 for(const o of D.operations){if(o[1]<first||o[1]>last)continue;
  const end=o[8]<0?D.events:o[8];if(end<from||o[7]>to)continue;shown++;
  const marked=witness.has(o[0])||stuck.has(o[0]);
  const left=Math.max(x(o[7],w),LEFT),right=Math.min(x(end,w),w),y=o[1]*ROW-top0+3;
  if(!marked&&px>1){const slot=Math.floor(left);if(taken.get(o[1])===slot)continue;taken.set(o[1],slot)}
  g.globalAlpha=hits&&!hits.has(o[0])?.15:o[6]==="fail"?.45:1;
  g.fillStyle=stuck.has(o[0])?bad:witness.has(o[0])?maybe:bar;
  g.fillRect(left,y,Math.max(right-left,1.5),ROW-6);
  if(o[6]==="info"){g.fillStyle=dim;for(let s=left;s<right;s+=8)g.fillRect(s,y,2,ROW-6)}
  if(right-left>34){g.fillStyle=ink;g.save();g.beginPath();g.rect(left,y,right-left,ROW-6);g.clip();
   const n=order.get(o[0]);g.fillText((n?n+". ":"")+o[2]+" "+(o[3]?o[3]+" ":"")+(o[5]||o[4]),left+3,y+12);
   g.restore()}
  g.globalAlpha=1}
 el("count").textContent=shown.toLocaleString()+" operations in view"}
function at(event){const r=canvas.getBoundingClientRect(),e=from+(event.clientX-r.left-LEFT)/(r.width-LEFT)*(to-from),
 row=Math.floor((event.clientY-r.top+top0)/ROW);let best=-1,distance=(to-from)/80;
 for(const o of D.operations){if(o[1]!==row)continue;const end=o[8]<0?D.events:o[8];
  const d=e<o[7]?o[7]-e:e>end?e-end:0;if(d<=distance){distance=d;best=o[0]}}return best}
let drag=null;
canvas.onpointerdown=e=>{drag=[e.clientX,e.clientY,from,to,top0];canvas.setPointerCapture(e.pointerId)};
canvas.onpointerup=()=>drag=null;
canvas.onpointermove=e=>{if(drag){const r=canvas.getBoundingClientRect(),s=(drag[3]-drag[2])/(r.width-LEFT);
  const move=(drag[0]-e.clientX)*s;from=drag[2]+move;to=drag[3]+move;
  top0=Math.max(0,Math.min(drag[4]+drag[1]-e.clientY,D.processes.length*ROW-ROW));draw();return}
 const o=at(e),tip=el("tip");if(o<0){tip.style.display="none";return}
 const p=D.operations[o];tip.textContent="#"+o+" process "+D.processes[p[1]]+"\n"+p[2]+" "+p[3]+"\nasked: "+p[4]+
  "\nanswer: "+p[5]+"\n"+p[6]+", events "+p[7]+" to "+(p[8]<0?"never":p[8])+
  (order.has(o)?"\nplace "+order.get(o)+" in the order found":"")+(stuck.has(o)?"\ncannot be ordered":"");
 tip.style.display="block";tip.style.left=Math.min(e.clientX+14,innerWidth-440)+"px";tip.style.top=e.clientY+14+"px"};
canvas.onpointerleave=()=>el("tip").style.display="none";
canvas.addEventListener("wheel",e=>{e.preventDefault();if(e.shiftKey){top0=Math.max(0,top0+e.deltaY);draw();return}
 const r=canvas.getBoundingClientRect(),f=(e.clientX-r.left-LEFT)/(r.width-LEFT),here=from+f*(to-from);
 const size=Math.min(Math.max((to-from)*Math.exp(e.deltaY*.0015),4),D.events*1.2+4);
 from=here-f*size;to=from+size;draw()},{passive:false});
function focus(){const ops=(chosen?(chosen.cycle.length?chosen.cycle.map(e=>e[0]):
  chosen.stuck.length?chosen.stuck:chosen.witness.slice(-30)):[]).map(o=>D.operations[o]).filter(Boolean);
 if(!ops.length){draw();return}
 from=Math.min(...ops.map(o=>o[7]));to=Math.max(...ops.map(o=>o[8]<0?o[7]+8:o[8]));
 const pad=(to-from)*.1+3;from-=pad;to+=pad;top0=Math.max(0,Math.min(...ops.map(o=>o[1]))*ROW-60);draw()}
el("whole").onclick=()=>{from=0;to=Math.max(D.events,1);top0=0;draw()};el("focus").onclick=focus;
el("find").oninput=e=>{needle=e.target.value.toLowerCase();hits=needle?new Set(D.operations.filter(o=>
 (o[2]+" "+o[3]+" "+o[4]+" "+o[5]+" "+D.processes[o[1]]).toLowerCase().includes(needle)).map(o=>o[0])):null;draw()};
addEventListener("resize",draw);choose(chosen);
})();
</script></body></html>
"""
