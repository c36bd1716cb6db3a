/**
 * An XFS file system in a file, without mounting it: `mkfs.xfs -p`.
 *
 * 1. A prototype file describes the tree; contents are read from below it.
 * 2. Sticky bits, which a prototype cannot say, are set by xfs_db afterwards.
 * 3. Extended attributes cannot come along (xfsprogs before 6.17): a tree that has some is refused.
 *
 * Not promised: the same bytes twice (mkfs.xfs reads the clock), and hard links (they become
 * files of their own). A build says so in a note.
 */
import { rm, truncate, writeFile } from 'node:fs/promises'
import { OsflashError } from '../../errors.ts'
import { alignUp, byteCount, MIB } from '../../units.ts'
import { type BuildContext, runAsOwner } from './context.ts'
import type { PartitionFile, PartitionJob } from './partition.ts'
import { measureTree } from './tree-size.ts'
import { PROTO_FIND_FORMAT, type ProtoFile, protoFile } from './xfs-proto.ts'

/** mkfs.xfs makes nothing smaller. */
const MIN_BYTES = 300 * MIB
const LABEL_MAX = 12
const FIT_FACTOR = 1.15
/** The log takes 64 MiB. */
const FIT_SLACK_BYTES = 160 * MIB

/** @throws OsflashError `refused` for what cannot go in, `process` when the tree does not fit */
export async function makeXfs(job: PartitionJob, context: BuildContext): Promise<PartitionFile> {
  const { path, tree, name, label } = job
  if (label !== undefined && label.length > LABEL_MAX) {
    throw new OsflashError('recipe', `making ${name}: an xfs label has at most 12 characters`)
  }
  const bytes = await sizeOf(job, context)
  context.emit({ event: 'note', text: `${name}: xfs is not the same bytes in every build` })
  const proto = tree === undefined ? undefined : await describeTree(tree, name, context)
  const protoPath = `${path}.proto`
  if (proto !== undefined) await writeFile(protoPath, proto.text)
  await writeFile(path, '')
  await truncate(path, bytes)
  await runAsOwner(
    context,
    [
      ...(['mkfs.xfs', '-q', '-f', '-K', '-m', `uuid=${job.uuid}`] as const),
      ...['-s', `size=${job.sectorBytes}`, '-i', 'nrext64=0'],
      ...(label === undefined ? [] : ['-L', label]),
      ...(proto === undefined ? [] : ['-p', protoPath]),
      path,
    ],
    { stdout: 'ignore', ...(tree === undefined ? {} : { cwd: tree }) },
  )
  await rm(protoPath, { force: true })
  await setStickyBits(path, proto?.sticky ?? [], context)
  return { bytes, unused: [] }
}

async function sizeOf({ size, tree, name }: PartitionJob, context: BuildContext) {
  if (size !== 'fit') {
    if (size >= MIN_BYTES) return size
    throw new OsflashError('recipe', `making ${name}: an xfs file system has at least 300 MiB`)
  }
  const data = tree === undefined ? 0 : (await measureTree(tree, context)).dataBytes
  return byteCount(alignUp(Math.max(MIN_BYTES, data * FIT_FACTOR + FIT_SLACK_BYTES), MIB))
}

async function describeTree(tree: string, name: string, context: BuildContext): Promise<ProtoFile> {
  await refuseAttributes(tree, name, context)
  const { stdout } = await runAsOwner(
    context,
    ['find', '.', '-xdev', '-printf', PROTO_FIND_FORMAT],
    { cwd: tree },
  )
  return protoFile(stdout)
}

/** tar marks what has extended attributes with an asterisk. */
async function refuseAttributes(tree: string, name: string, context: BuildContext): Promise<void> {
  const tarball = `${context.scratch}/attributes.tar`
  const attributes = ['--xattrs', '--xattrs-include=*', '--format=pax']
  await runAsOwner(context, ['tar', '-c', ...attributes, '-C', tree, '-f', tarball, '.'])
  const { stdout } = await runAsOwner(context, ['tar', '-tvv', '--xattrs', '-f', tarball])
  await rm(tarball)
  const marked = /^.{10}\*.*? (\.\/.*)$/m.exec(stdout)?.[1]
  if (marked === undefined) return
  throw new OsflashError(
    'refused',
    `making ${name}: ${marked.slice(1)} has extended attributes, which mkfs.xfs cannot fill in`,
    { hints: ['choose ext4 or btrfs for this partition'] },
  )
}

async function setStickyBits(
  path: string,
  sticky: ProtoFile['sticky'],
  context: BuildContext,
): Promise<void> {
  if (sticky.length === 0) return
  const commands = sticky.flatMap(({ path: inside, mode }) => [
    ...['-c', `path /${inside}`],
    ...['-c', `write core.mode 0${(0o040000 | mode).toString(8)}`],
  ])
  await runAsOwner(context, ['xfs_db', '-x', ...commands, path], { stdout: 'ignore' })
}
