/**
 * A folder or a tarball as a tree payload: one pax tar, the same bytes each time.
 *
 * 1. A tarball is unpacked first: what goes in an image is what tar makes of it, in one spelling.
 * 2. Names are sorted and relative, without `./`; owners are numbers; access and change times are
 *    left out.
 * 3. Sockets are refused, because no tar can hold them; so is what `unpack` would refuse.
 *
 * Not promised: holes; they become zeros, which cost next to nothing when packed.
 */
import { createReadStream } from 'node:fs'
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { OsflashError } from '../../errors.ts'
import { inPhase } from '../../events.ts'
import { enforce } from '../../format/limits.ts'
import { byteCount, byteOffset } from '../../units.ts'
import type { ImageSource } from '../source.ts'
import { type BuildContext, runAsOwner } from './context.ts'
import type { ImportDescription } from './import-description.ts'
import { unpackTar } from './root-tree.ts'
import { checkTree, type PackedTree } from './tree-check.ts'

/** @throws OsflashError `refused`, `limit`, `io`, `process` */
export async function importTree(
  path: string,
  description: ImportDescription,
  context: BuildContext,
): Promise<ImageSource> {
  const { tarball, entries } = await inPhase(context.emit, 'reading the tree', async () => {
    const folder = (await stat(path)).isDirectory() ? path : await unpacked(path, context)
    try {
      await refuseSockets(folder, path, context)
      const packed = await packTree(folder, path, context)
      await checkTree(packed)
      return packed
    } finally {
      if (folder !== path) await removeFolder(folder, context)
    }
  })
  const { size } = await stat(tarball)
  return {
    ...description,
    created: new Date(context.sourceDateEpoch * 1000).toISOString(),
    firmware: description.firmware ?? [],
    payloads: [
      {
        name: 'tree',
        place: { kind: 'tree', entries },
        path: tarball,
        range: { offset: byteOffset(0), length: byteCount(size) },
        unused: [],
      },
    ],
  }
}

async function unpacked(tarball: string, context: BuildContext): Promise<string> {
  const folder = join(context.scratch, 'imported-tree')
  await mkdir(folder)
  await unpackTar(tarball, folder, context)
  return folder
}

async function refuseSockets(folder: string, shown: string, context: BuildContext): Promise<void> {
  const argv = ['find', folder, '-type', 's', '-printf', '%P\\n', '-quit'] as const
  const socket = (await runAsOwner(context, argv)).stdout.trim()
  if (socket === '') return
  throw new OsflashError('refused', `reading ${shown}: ${socket} is a socket, which no tar holds`, {
    hints: ['stop the program that listens there, and remove the socket'],
  })
}

async function packTree(folder: string, shown: string, context: BuildContext): Promise<PackedTree> {
  const tarball = join(context.scratch, 'tree.tar')
  const names = join(context.scratch, 'tree.names')
  const list = join(context.scratch, 'tree.list')
  // Names are bytes, and need not be UTF-8.
  const top = (await readdir(folder, { encoding: 'buffer' })).toSorted(Buffer.compare)
  const ended = top.map((name) => Buffer.concat([name, Buffer.of(0)]))
  await writeFile(names, Buffer.concat(ended))
  await runAsOwner(context, [
    ...(['tar', '--create', '--sort=name', '--format=pax', '--numeric-owner'] as const),
    ...['--xattrs', '--xattrs-include=*', '--pax-option=delete=atime,delete=ctime'],
    // Without --no-unquote tar would read `\x2d` in a name at the top as an escape.
    ...['--directory', folder, '--null', '--verbatim-files-from', '--no-unquote'],
    ...['--files-from', names],
    ...['--verbose', '--index-file', list, '--file', tarball],
  ])
  const entries = await countLines(list)
  enforce('tarEntries', entries, shown)
  return { tarball, list, entries, shown, signal: context.signal }
}

async function countLines(path: string): Promise<number> {
  let lines = 0
  for await (const chunk of createReadStream(path)) {
    for (const byte of Buffer.from(chunk)) if (byte === 0x0a) lines += 1
  }
  return lines
}

async function removeFolder(folder: string, context: BuildContext): Promise<void> {
  await runAsOwner({ ...context, signal: undefined }, ['rm', '-rf', '--', folder])
}
