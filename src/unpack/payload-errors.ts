/**
 * The one error for bytes that are not the signed ones.
 *
 * 1. The main thread throws it for indexes and first blocks, the workers for all others.
 * 2. It names the member and the block, so that a mirror can be asked for that range again.
 */
import { OsflashError } from '../errors.ts'

/** A block whose digest does not match. @param member the segment or index, by its name */
export function mismatch(member: string, block: number): OsflashError {
  return new OsflashError(
    'digest',
    `reading ${member}, block ${block}: the digest does not match`,
    {
      data: { member, block },
      hints: ['the image was damaged on its way; fetch it again'],
    },
  )
}
