import { Stage } from './lib/stage.mjs'; import path from 'node:path';
import { startProduct, untilRecorded, succeeded } from './lib/product.mjs'; import { startNats } from './lib/nats.mjs'; import { helper } from './lib/child.mjs';
const stage = await Stage.open({quick:true, rounds:1}); const nats=await startNats();
const env={NATS_URL:nats.url, NODE_OPTIONS:'--import /tmp/mine/spy.mjs'}; const product = await startProduct(stage,'solo',{env});
const me = await product.api.json('GET','/api/v1/me'); console.log(me);
const births = await helper('./lib/births.mjs',[product.database.url, me.id ?? me.user.id], env);
const watch = setInterval(async()=>{ const {rows}=await stage.admin.query(`select state, wait_event_type, wait_event, left(regexp_replace(query,'\\s+',' ','g'),70) q, extract(epoch from clock_timestamp()-query_start)::numeric(8,3) s from pg_stat_activity where datname like 'runledger_solo%' and state<>'idle'`); console.log(performance.now()|0, JSON.stringify(rows)); },500);
for (let i=0;i<25;i++){ const b=await succeeded(product); const t=performance.now(); const c=product.cpu();
 await births.ask('admit',{batches:2,size:1000,lanes:1}); const s=performance.now(); await untilRecorded(product,b,2000,{within:6000}).catch(async e=>{ for (const q of ['select running, count(*), min(attempt), max(attempt), count(distinct executor) from queue group by 1','select type,count(*) from event group by 1','select * from run_count','select * from checkpoint','select status,count(*) from run_view group by 1','select max(last) from block','select * from executor_lease',"select executor, running, epoch, ready_at, clock_timestamp() from queue limit 3"]) console.log(q, (await product.database.query(q)).rows); const {readFileSync}=await import('node:fs'); console.log(readFileSync(product.log,'utf8').slice(-30000)); process.exit(1)}); console.log('admit',s-t,'recorded',performance.now()-t,'cpu',product.cpu()-c);}
clearInterval(watch);
await births.stop(); await product.stop(); await nats.stop(); await stage.close();
