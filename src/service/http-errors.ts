import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { type ErrorCode, errorToDocument, toWaldenError, WaldenError } from '../errors.ts';

/**
 * How failures leave the service. Programs get the error document; the shell scripts, which ask for text/plain, get the
 * exit status on the first line and what PostgreSQL's log shall show on the others.
 */

const HTTP_STATUS: Partial<Record<ErrorCode, number>> = {
  USAGE: 400,
  FORMAT_INVALID: 400,
  CONFIG_INVALID: 400,
  NOT_FOUND: 404,
  ARCHIVE_FILE_MISSING: 404,
  SERVER_MISMATCH: 409,
  ARCHIVE_DUPLICATE: 409,
  SECOND_WRITER: 409,
  LOCK_HELD: 409,
  TARGET_UNREACHABLE: 409,
  ARCHIVE_GAP: 409,
  PATH_NOT_EMPTY: 409,
  SERVER_RUNNING: 409,
};

export function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const failure = fromFastify(error);
  const status = HTTP_STATUS[failure.code] ?? (failure.retryable ? 503 : 500);
  if (status >= 500) {
    request.log.error({ error: errorToDocument(failure), cause: failure.cause }, failure.message);
  } else if (failure.code !== 'ARCHIVE_FILE_MISSING') {
    request.log.warn({ error: errorToDocument(failure) }, failure.message);
  }
  if (!wantsText(request)) return reply.code(status).send(errorToDocument(failure));
  return sendText(reply.code(status), failure.exitCode, `${failure.message} (${failure.code})\nHINT: ${failure.hint}`);
}

export function wantsText(request: FastifyRequest): boolean {
  return request.headers.accept === 'text/plain';
}

/** The exit status on the first line, then the text. */
export function sendText(reply: FastifyReply, exitStatus: number, text = ''): FastifyReply {
  return reply.type('text/plain').send(`${exitStatus}\n${text}`);
}

function fromFastify(error: unknown): WaldenError {
  if (error instanceof WaldenError) return error;
  const { statusCode, message } = error as Partial<FastifyError>;
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return new WaldenError('USAGE', `the request is not valid: ${message ?? 'unknown'}`, {
      hint: 'see /v1/openapi.json',
      cause: error,
    });
  }
  return toWaldenError(error);
}
