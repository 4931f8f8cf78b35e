import { type DestinationStream, type Logger, type LoggerOptions, pino, stdTimeFunctions } from 'pino';
import { WaldenError } from '../errors.ts';

export type { Logger } from 'pino';

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;

/** Members that may hold secrets, in an object or one below it. */
const SECRET_MEMBERS = ['conninfo', 'password', 'passphrase', 'secret', 'authorization'];

/**
 * Structured lines to stderr, one JSON object each, for journald or a file. Written at once and synchronously: the last
 * line before a crash is the one that matters.
 * @throws USAGE for a level that does not exist.
 */
export function createLogger(level = 'info', destination: DestinationStream = stderr()): Logger {
  if (!(LEVELS as readonly string[]).includes(level)) {
    throw new WaldenError('USAGE', `${JSON.stringify(level)} is not a log level`, {
      hint: `set WALDEN_LOG_LEVEL to one of: ${LEVELS.join(', ')}`,
    });
  }
  const options: LoggerOptions = {
    level,
    base: { pid: process.pid },
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: {
      paths: SECRET_MEMBERS.flatMap((member) => [member, `*.${member}`, `*.*.${member}`]),
      censor: '[redacted]',
    },
    hooks: {
      // A driver's error text may quote the connection string.
      streamWrite: redactPasswords,
    },
  };
  return pino(options, destination);
}

/** `password=…` of a connection string and `://user:…@` of a URL, wherever they stand in a text. */
export function redactPasswords(text: string): string {
  return text
    .replaceAll(/\b(password|sslpassword)(\s*=\s*)('(?:\\\\.|\\.|[^'\\])*'|(?:\\.|[^\s"\\])+)/gi, '$1$2[redacted]')
    .replaceAll(/(:\/\/[^\s:/@"]+:)[^\s@"]+@/g, '$1[redacted]@');
}

function stderr(): DestinationStream {
  return pino.destination({ dest: 2, sync: true });
}
