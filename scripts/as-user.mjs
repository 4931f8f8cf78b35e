// Runs a command as a user who is not root, since PostgreSQL refuses root: node scripts/as-user.mjs COMMAND [ARGUMENT…]
//
// For anybody but root it runs the command as it is. For root it runs it as `postgres` if there is such a user, else as
// `nobody`, with HOME and TMPDIR in a fresh directory of that user that is removed afterwards. Where that user cannot
// read the project (a clone below a closed home directory), the project is copied to where it can.
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, cpSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { constants as os } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const project = dirname(dirname(fileURLToPath(import.meta.url)));
const NOT_COPIED = new Set(['.git', 'coverage']);

/** @returns {{ name: string, uid: number, gid: number }} */
function unprivilegedUser() {
  const entries = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  for (const name of ['postgres', 'nobody']) {
    const entry = entries.find((fields) => fields[0] === name);
    if (entry !== undefined) return { name, uid: Number(entry[2]), gid: Number(entry[3]) };
  }
  throw new Error('there is neither a user postgres nor a user nobody to run PostgreSQL as');
}

/** A directory in which the user may do as it likes, with a short path (unix sockets). */
function directoryOf(user) {
  const directory = mkdtempSync('/tmp/walden-');
  chownSync(directory, user.uid, user.gid);
  chmodSync(directory, 0o755);
  return directory;
}

/** Whether Node, run as the user, ends well with this program. */
function succeeds(user, program, ...parameters) {
  const options = { cwd: '/', uid: user.uid, gid: user.gid, stdio: 'ignore' };
  return spawnSync(process.execPath, ['-e', program, ...parameters], options).status === 0;
}

function canRead(user, directory) {
  const program = `const fs = require('node:fs');
    fs.readdirSync(process.argv[1]);
    fs.readFileSync(process.argv[1] + '/package.json');
    fs.readdirSync(fs.realpathSync(process.argv[1] + '/node_modules'));`;
  return succeeds(user, program, directory);
}

/** A copy of the project for the user; node_modules that are a link are copied as what they point at. */
function copyFor(user, home) {
  const copy = join(home, 'project');
  mkdirSync(copy);
  const modules = realpathSync(join(project, 'node_modules'));
  const leaveOut = (path) => !NOT_COPIED.has(path.slice(project.length + 1)) && path !== join(project, 'node_modules');
  cpSync(project, copy, { recursive: true, verbatimSymlinks: true, filter: leaveOut });
  cpSync(modules, join(copy, 'node_modules'), { recursive: true, verbatimSymlinks: true });
  spawnSync('chmod', ['-R', 'a+rX', copy]);
  return copy;
}

// Caught from the start, so that what was made is removed also when the signal comes before the command runs.
let child;
let caught;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    caught = signal;
    // From a terminal the command has had its SIGINT already.
    if (signal !== 'SIGINT' || !process.stdin.isTTY) child?.kill(signal);
  });
}

/** Runs the command with this process's streams and resolves with its exit status. */
async function run(command, options) {
  // Lets a signal that came during the copying be seen.
  await new Promise((resolve) => setImmediate(resolve));
  if (caught !== undefined) return 128 + os.signals[caught];
  return await new Promise((resolve, reject) => {
    child = spawn(command[0], command.slice(1), { stdio: 'inherit', ...options });
    child.once('error', reject);
    child.once('exit', (status, signal) => {
      resolve(status ?? 128 + (os.signals[signal] ?? 0));
    });
  });
}

async function runAsUser(command) {
  const user = unprivilegedUser();
  const home = directoryOf(user);
  try {
    const path = [process.env.PATH];
    let cwd = process.cwd();
    if (!succeeds(user, '')) {
      path.unshift(join(home, 'bin'));
      cpSync(process.execPath, join(home, 'bin', 'node'));
      console.error(`as-user: ${user.name} cannot run ${process.execPath}: running a copy of it`);
    }
    if (path.length > 1 || !canRead(user, project)) {
      cwd = copyFor(user, home);
      path.unshift(join(cwd, 'node_modules', '.bin'));
      console.error(`as-user: ${user.name} cannot read ${project}: running in a copy, ${cwd}`);
    }
    const temporary = join(home, 'tmp');
    mkdirSync(temporary);
    chownSync(temporary, user.uid, user.gid);
    const names = { USER: user.name, LOGNAME: user.name };
    const env = { ...process.env, ...names, HOME: home, TMPDIR: temporary, PATH: path.join(':') };
    return await run(command, { cwd, env, uid: user.uid, gid: user.gid });
  } finally {
    // Servers that were killed a moment ago may still write: try again for a while.
    rmSync(home, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

const command = process.argv.slice(2);
if (command.length === 0) {
  console.error('usage: node scripts/as-user.mjs COMMAND [ARGUMENT…]');
  process.exit(2);
}
process.exitCode = await (process.getuid?.() === 0 ? runAsUser(command) : run(command, {}));
