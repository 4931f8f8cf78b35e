import { Html } from './html.ts';

/** Nothing from elsewhere: a page that is opened years later, offline, looks the same. */
export const STYLE = new Html(`
:root { color-scheme: light dark; --ink: #1c2430; --dim: #5a6675; --paper: #f6f7f9; --card: #fff; --line: #d8dde4;
  --wal: #3b82c4; --window: #9cc7a6; --backup: #2d6a3e; --bad: #c0392b; --good: #2d7a46; --drill: #8a5cc2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --dim: #98a3b3; --paper: #14181e; --card: #1d232c;
  --line: #343d4a; --wal: #5aa2e6; --window: #35583f; --backup: #7fd097; --bad: #ff7b6b; --good: #74d391; --drill: #b794f0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem; font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; } h3 { font-size: 1rem; margin: 1rem 0 .25rem; }
.note, .dim { color: var(--dim); } .bad { color: var(--bad); font-weight: 600; } .good { color: var(--good); font-weight: 600; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .75rem; margin-top: 1rem; }
.card, section { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .75rem 1rem; }
.card b { display: block; font-size: 1.05rem; } .card span { color: var(--dim); font-size: .85rem; }
section, .wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .87rem; }
th { white-space: nowrap; text-align: left; color: var(--dim); font-weight: 500; } th, td { padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td { max-width: 24rem; overflow-wrap: break-word; }
svg { width: 100%; min-width: 46rem; height: auto; display: block; } svg text { fill: var(--dim); font: 11px system-ui, sans-serif; }
.axis { stroke: var(--line); } .wal { fill: var(--wal); } .window { fill: var(--window); } .hole { fill: var(--bad); }
.full { fill: var(--backup); } .incremental { fill: var(--card); stroke: var(--backup); stroke-width: 2; } .chain { stroke: var(--backup); fill: none; }
.damaged { fill: var(--bad); stroke: var(--bad); } .drill { fill: var(--drill); } .failed { fill: var(--bad); } .plain { fill: var(--line); } .stored { fill: var(--wal); }
.key i { display: inline-block; width: .8rem; height: .8rem; margin: 0 .3rem 0 1rem; border-radius: .15rem; }
`);
