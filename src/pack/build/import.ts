/**
 * Something that exists already, as what an image is packed from.
 *
 * 1. A folder or a tarball (plain, gz, xz, zst) becomes a tree.
 * 2. A regular file that is no tarball, or a block device, is a disk.
 * 3. What the thing itself does not say (name, system, firmware) the caller says.
 *
 * Not promised: a look inside the system on a disk; its family is what the caller says.
 */
import { open, stat } from 'node:fs/promises'
import { ioError, OsflashError } from '../../errors.ts'
import type { ImageSource } from '../source.ts'
import type { BuildContext } from './context.ts'
import type { ImportDescription } from './import-description.ts'
import { importDisk } from './import-disk.ts'
import { importTree } from './import-tree.ts'

/**
 * Imports a folder, a tarball, a disk image (raw, qcow2, vhdx, vmdk) or a block device.
 * @throws OsflashError `io`, `format`, `refused`, `process`, `missing-tool`
 */
export async function importSource(
  path: string,
  description: ImportDescription,
  context: BuildContext,
): Promise<ImageSource> {
  const found = await stat(path).catch((cause: unknown) => {
    throw ioError(`opening ${path}`, cause)
  })
  if (found.isDirectory()) return importTree(path, description, context)
  if (found.isBlockDevice()) return importDisk(path, description, context)
  if (!found.isFile()) throw new OsflashError('refused', `opening ${path}: neither file nor folder`)
  const tree = await looksLikeTar(path)
  return tree ? importTree(path, description, context) : importDisk(path, description, context)
}

const COMPRESSED = ['1f8b', 'fd377a585a00', '28b52ffd']

/** A tar header, or the magic bytes of gzip, xz or zstd: no disk starts with these. */
async function looksLikeTar(path: string): Promise<boolean> {
  await using file = await open(path, 'r').catch((cause: unknown) => {
    throw ioError(`opening ${path}`, cause)
  })
  const { buffer, bytesRead } = await file.read(Buffer.alloc(512), 0, 512, 0)
  const start = buffer.subarray(0, 8).toString('hex')
  if (COMPRESSED.some((magic) => start.startsWith(magic))) return true
  return bytesRead === 512 && buffer.toString('latin1', 257, 262) === 'ustar'
}
