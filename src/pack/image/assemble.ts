/**
 * Puts the members together: the image file itself (src/format/members.ts has their order).
 *
 * 1. All sizes are known, so every member has its place before the first byte is written.
 * 2. Headers and small members are written; the padding between members is never written and
 *    reads as zeros.
 * 3. Segments are copied from the spool file by the workers, the last one first, and the spool
 *    file is cut after each: both files together need room for the image and one segment more.
 */
import type { FileHandle } from 'node:fs/promises'
import { blake3 } from '@napi-rs/blake-hash'
import { ioError, throwIfCancelled } from '../../errors.ts'
import type { Emit } from '../../events.ts'
import { TAR_BLOCK_BYTES } from '../../format/tar-block.ts'
import { encodeTarHeader, tarArchiveBytes, tarMemberBytes } from '../../format/tar-header.ts'
import { MIB } from '../../units.ts'
import type { PartialFile } from './partial-file.ts'
import type { PackJobs } from './workers.ts'

const COPY_BYTES = 32 * MIB

/** A member whose content is in memory, or in the spool file. */
export type MemberSource =
  | {
      readonly kind: 'bytes'
      readonly name: string
      readonly content: readonly Uint8Array[]
      /** For members that no digest of the manifest binds. */
      readonly checked: boolean
    }
  | {
      readonly kind: 'spooled'
      readonly name: string
      readonly place: number
      readonly bytes: number
    }

export interface AssembleContext {
  readonly image: PartialFile
  readonly spool: { readonly path: string; readonly handle: FileHandle }
  readonly workers: PackJobs
  /** Seconds since 1970, in every header. */
  readonly mtime: number
  readonly signal: AbortSignal | undefined
  readonly emit: Emit
}

/**
 * Writes the image; `spooled` members must come in the order of their places.
 * @returns the size of the image
 * @throws OsflashError `io`, `cancelled`
 */
export async function assembleImage(
  members: readonly MemberSource[],
  context: AssembleContext,
): Promise<number> {
  const { image, spool, signal, emit } = context
  const placed = placeMembers(members)
  const total = tarArchiveBytes(placed.end)
  await image.resize(total)
  let done = 0
  const report = (bytes: number): void => {
    done += bytes
    emit({ event: 'progress', phase: 'assembling', done, total, unit: 'bytes' })
  }
  for (const { member, offset } of placed.members.toReversed()) {
    throwIfCancelled(signal)
    await writeHead(context, member, offset)
    if (member.kind === 'spooled') {
      await copySegment({ context, member, to: offset + TAR_BLOCK_BYTES, report })
      await cutSpool(spool, member.place)
    } else report(contentBytes(member))
  }
  report(total - done)
  return total
}

function placeMembers(members: readonly MemberSource[]) {
  let end = 0
  const placed = members.map((member) => {
    const offset = end
    end += tarMemberBytes(contentBytes(member))
    return { member, offset }
  })
  return { members: placed, end }
}

function contentBytes(member: MemberSource): number {
  if (member.kind === 'spooled') return member.bytes
  return member.content.reduce((sum, part) => sum + part.length, 0)
}

/** The header, and the content where it is in memory. */
async function writeHead(
  { image, mtime }: AssembleContext,
  member: MemberSource,
  offset: number,
): Promise<void> {
  const content = member.kind === 'bytes' ? member.content : []
  const header = encodeTarHeader({
    name: member.name,
    bytes: contentBytes(member),
    mtime,
    ...(member.kind === 'bytes' && member.checked ? { checksum: checksumOf(content) } : {}),
  })
  let at = offset
  for (const part of [header, ...content]) {
    await image.write(part, at)
    at += part.length
  }
}

/** The check sum of members that the manifest does not bind (src/format/tar-header.ts). */
export function checksumOf(content: readonly Uint8Array[]): string {
  return blake3(Buffer.concat(content)).toString('hex').slice(0, 30)
}

interface SegmentCopy {
  readonly context: AssembleContext
  readonly member: Extract<MemberSource, { kind: 'spooled' }>
  readonly to: number
  readonly report: (bytes: number) => void
}

async function copySegment({ context, member, to, report }: SegmentCopy): Promise<void> {
  const copies: Promise<void>[] = []
  for (let at = 0; at < member.bytes; at += COPY_BYTES) {
    const bytes = Math.min(COPY_BYTES, member.bytes - at)
    const range = { from: member.place + at, to: to + at, bytes }
    copies.push(context.workers.copy(range).then(() => report(bytes)))
  }
  await Promise.all(copies)
}

async function cutSpool({ path, handle }: AssembleContext['spool'], bytes: number): Promise<void> {
  await handle.truncate(bytes).catch((cause: unknown) => {
    throw ioError(`cutting ${path} to ${bytes} bytes`, cause)
  })
}
