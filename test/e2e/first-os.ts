/**
 * Disk 1 of the scenarios: Debian 12 with a known host key, and left-overs of earlier owners.
 *
 * 1. The image is unpacked as any other.
 * 2. SSH host keys are put into it, because images hold none.
 * 3. Decoys: partitions with ext4 and xfs behind the root, and at the disk's very end the backup
 *    of another GPT. The own table was made for a smaller disk, so its backup lies before that.
 */
import { open, readdir, readFile, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../../src/system/run.ts'
import { makeScratch } from '../../src/system/scratch.ts'
import { GIB, MIB } from '../../src/units.ts'
import { cached, digestOf } from './cache.ts'
import { partitionNamed, putFiles, readBytes, readTable } from './disk-file.ts'
import { image, type Variant } from './images.ts'
import { osflash, testKeys } from './keys.ts'

export const DISK_BYTES = 6 * GIB
/** For what the table was made. */
const TABLE_BYTES = 5 * GIB
const DECOY_BYTES = 512 * MIB
/** Header and entries of a GPT. */
const GPT_END_BYTES = 33 * 512

/** What must be gone at the end, and where it was. */
export const DECOYS = {
  tableId: 'DEC0DEC0-1111-4222-8333-444455556666',
  endTableId: '0DDBA115-1111-4222-8333-444455556666',
  ext4: { name: 'decoy-ext4', uuid: 'deca0001-1111-4222-8333-444455556666' },
  xfs: { name: 'decoy-xfs', uuid: 'deca0002-1111-4222-8333-444455556666' },
} as const

/** Called on the disk file after all else: another boot loader, for example. */
export interface FirstVariant extends Variant {
  readonly change?: (disk: string) => Promise<void>
}

/** A disk of `DISK_BYTES`, to be copied for each machine. */
export async function firstDisk(variant: FirstVariant = { name: '' }): Promise<string> {
  const packed = await image('first-debian-12', variant)
  const recipe = await readFile(import.meta.filename)
  const wanted = {
    name: `first-disk-${variant.name || 'plain'}`,
    extension: 'img',
    key: digestOf(packed, recipe, variant.change?.toString() ?? ''),
  }
  return cached(wanted, async (disk) => {
    const keys = await testKeys()
    const reading = ['--trust', keys.signerCert, '--identity', keys.recipientKey]
    await run([osflash, 'unpack', packed, '--to', disk, '--size', String(TABLE_BYTES), ...reading])
    await putHostKeys(disk, keys.host)
    await addDecoys(disk)
    await endWithAnotherTable(disk)
    await variant.change?.(disk)
  })
}

async function putHostKeys(disk: string, folder: string): Promise<void> {
  const files = []
  for (const name of await readdir(folder)) {
    const bytes = await readFile(join(folder, name))
    files.push({ path: `/etc/ssh/${name}`, bytes, mode: name.endsWith('.pub') ? 0o644 : 0o600 })
  }
  await putFiles(disk, await partitionNamed(disk, 'root'), files)
}

async function addDecoys(disk: string): Promise<void> {
  const { partitions } = await readTable(disk)
  const [ext4, xfs] = [partitions.length + 1, partitions.length + 2]
  await run([
    'sgdisk',
    ...['-n', `${ext4}:0:+${DECOY_BYTES / MIB}M`, '-c', `${ext4}:${DECOYS.ext4.name}`],
    ...['-n', `${xfs}:0:+${DECOY_BYTES / MIB}M`, '-c', `${xfs}:${DECOYS.xfs.name}`],
    ...['-U', DECOYS.tableId, disk],
  ])
  await using scratch = await makeScratch('e2e-decoys')
  const part = join(scratch.path, 'part')
  await emptyFile(part, DECOY_BYTES)
  await run(['mkfs.ext4', '-q', '-U', DECOYS.ext4.uuid, '-L', 'decoy', part])
  await copyInto(disk, part, (await partitionNamed(disk, DECOYS.ext4.name)).offset)
  await run(['mkfs.xfs', '-q', '-f', '-m', `uuid=${DECOYS.xfs.uuid}`, part])
  await copyInto(disk, part, (await partitionNamed(disk, DECOYS.xfs.name)).offset)
}

async function endWithAnotherTable(disk: string): Promise<void> {
  await using scratch = await makeScratch('e2e-table')
  const other = join(scratch.path, 'other')
  await emptyFile(other, DISK_BYTES)
  await run(['sgdisk', '-n', '1:2048:0', '-c', '1:long-ago', '-U', DECOYS.endTableId, other])
  await truncate(disk, DISK_BYTES)
  const end = await readBytes(other, -GPT_END_BYTES, GPT_END_BYTES)
  await using file = await open(disk, 'r+')
  await file.write(end, 0, end.length, DISK_BYTES - GPT_END_BYTES)
}

async function emptyFile(path: string, bytes: number): Promise<void> {
  await using file = await open(path, 'w')
  await file.truncate(bytes)
}

async function copyInto(disk: string, part: string, offset: number): Promise<void> {
  const place = ['oflag=seek_bytes', `seek=${offset}`, 'conv=notrunc,sparse', 'bs=1M']
  await run(['dd', 'status=none', `if=${part}`, `of=${disk}`, ...place])
}

/** Copies a disk, holes as holes. */
export async function copyDisk(from: string, to: string): Promise<void> {
  await run(['cp', '--sparse=always', '--reflink=auto', from, to])
}

/** A blank disk. */
export const blankDisk = (path: string, bytes: number): Promise<void> => emptyFile(path, bytes)
