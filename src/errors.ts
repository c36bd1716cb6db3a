/**
 * The one error class of osflash.
 *
 * 1. Every failure that an operator can meet is an `OsflashError` with a stable code.
 * 2. The message is a gerund, an object and a place, in lower case and without a full stop:
 *    `writing partition 3 at byte 1048576: no space left`.
 * 3. `hints` are lines that can be followed or typed; the screen prints each after `hint:`.
 * 4. The code decides the exit status, in one table (`exitStatus`), as documented in the help.
 *
 * Anything else that is thrown is a fault of the program and ends with status 1.
 */

/** Stable codes, grouped by what the operator does next. */
export type ErrorCode =
  | 'usage'
  | 'refused'
  | 'missing-tool'
  | 'recipe'
  | 'limit'
  | 'format'
  | 'signature'
  | 'decryption'
  | 'trust'
  | 'network'
  | 'io'
  | 'digest'
  | 'process'
  | 'readback'
  | 'cancelled'
  | 'unexpected'

/** Data that belongs to an error and that a machine may read: plain JSON values only. */
export type ErrorData = Readonly<Record<string, string | number | boolean | null>>

export interface ErrorDetails {
  readonly data?: ErrorData
  readonly cause?: unknown
  readonly hints?: readonly string[]
}

export class OsflashError extends Error {
  override readonly name = 'OsflashError'
  readonly code: ErrorCode
  readonly data: ErrorData
  readonly hints: readonly string[]

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.data = details.data ?? {}
    this.hints = details.hints ?? []
  }
}

const EXIT_STATUS: Readonly<Record<ErrorCode, number>> = {
  unexpected: 1,
  usage: 2,
  recipe: 2,
  refused: 3,
  'missing-tool': 3,
  signature: 4,
  decryption: 4,
  trust: 4,
  network: 5,
  io: 6,
  process: 6,
  limit: 6,
  format: 6,
  digest: 6,
  readback: 7,
  cancelled: 130,
}

/** The exit status of a failure, 1 to 130 (`osflash --help` lists them). */
export function exitStatus(error: unknown): number {
  return error instanceof OsflashError ? EXIT_STATUS[error.code] : 1
}

/**
 * Wraps a failed system call: keeps the errno name, says what was done and where.
 * A cancelled signal stays a cancellation.
 */
export function ioError(doing: string, cause: unknown, data: ErrorData = {}): OsflashError {
  if (cause instanceof OsflashError) return cause
  const errno = errnoOf(cause)
  const why = ERRNO_TEXT[errno ?? ''] ?? messageOf(cause)
  return new OsflashError('io', `${doing}: ${why}`, {
    cause,
    data: errno === undefined ? data : { ...data, errno },
    hints: ERRNO_HINTS[errno ?? ''] ?? [],
  })
}

/** What a caught value says; anything can be thrown. */
export const messageOf = (cause: unknown): string =>
  cause instanceof Error ? cause.message : String(cause)

/** The errno name (`ENOENT`) of a system error, if it is one. */
export function errnoOf(cause: unknown): string | undefined {
  if (typeof cause !== 'object' || cause === null || !('code' in cause)) return undefined
  return typeof cause.code === 'string' ? cause.code : undefined
}

const ERRNO_TEXT: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  ENOSPC: 'no space left',
  EISDIR: 'is a directory',
  ENOTDIR: 'not a directory',
  EEXIST: 'already exists',
  EIO: 'input/output error',
  EROFS: 'read-only file system',
  EBUSY: 'device or resource busy',
}

const ERRNO_HINTS: Readonly<Record<string, readonly string[]>> = {
  ENOSPC: ['free space there, or choose another place (TMPDIR, --output, --to)'],
  EACCES: ['run as root, or choose a file that this user may open'],
}

/** Throws the `cancelled` error when the signal has fired; call between steps of long work. */
export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw cancelled()
}

/** The error of a run that the operator (or a caller) stopped. */
export function cancelled(): OsflashError {
  return new OsflashError('cancelled', 'cancelled')
}
