/**
 * A refusal of preflight: what is in the way of this host's replacement, and what to do about it.
 * Nothing was changed; the exit status is 3.
 */
import { OsflashError } from '../../errors.ts'

/** `hints`: lines that the operator can type or follow. */
export const refused = (message: string, ...hints: string[]): OsflashError =>
  new OsflashError('refused', message, { hints })
