/** What differs between root and other users: owners, device nodes, attributes. */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { makeScratch, type Scratch } from '../../../src/system/scratch.ts'
import { openTreeSink } from '../../../src/unpack/tree/tree-sink.ts'
import { directory, entry, octal, paxRecord, tarOf } from '../../format/tree/hand-made-tar.ts'
import { describeTree, describeXattrs, settleTimes } from './described-tree.ts'

const isRoot = process.geteuid?.() === 0
const NOBODY = 65_534

let scratch: Scratch
let source: string
let target: string

beforeEach(async () => {
  scratch = await makeScratch('tree-owner')
  source = join(scratch.path, 'source')
  target = join(scratch.path, 'target')
})

afterEach(() => scratch[Symbol.asyncDispose]())

async function extract(tar: Uint8Array, entries: number): Promise<void> {
  const sink = openTreeSink({ directory: target, entries })
  await sink.write(tar)
  await sink.end()
}

describe.skipIf(!isRoot)('as root', () => {
  test('owners, devices, fifos and capabilities are those of the source', async () => {
    mkdirSync(join(source, 'dev'), { recursive: true })
    const inSource = (command: string, ...args: string[]) =>
      execFileSync(command, args, { cwd: source })
    inSource('mknod', '-m', '620', 'dev/tty', 'c', '5', '1')
    inSource('mknod', '-m', '660', 'dev/disk', 'b', '259', '1048575')
    inSource('mkfifo', '-m', '640', 'dev/pipe')
    writeFileSync(join(source, 'tool'), 'tool')
    chownSync(join(source, 'tool'), 12, 34)
    chmodSync(join(source, 'tool'), 0o6755)
    // Version 2, effective, cap_net_raw: what ping has.
    const capability = '0x0100000200200000000000000000000000000000'
    inSource('setfattr', '-n', 'security.capability', '-v', capability, 'tool')
    inSource('setfattr', '-n', 'trusted.note', '-v', 'x', 'dev')
    inSource('setfattr', '-n', 'trusted.pipe', '-v', 'x', 'dev/pipe')
    symlinkSync('tool', join(source, 'link'))
    inSource('setfattr', '-h', '-n', 'trusted.link', '-v', 'x', 'link')
    lchownSync(join(source, 'link'), 4_000_000_000, 56)
    chownSync(join(source, 'dev/tty'), 78, 5)
    chownSync(join(source, 'dev'), 4_294_967_294, 0)
    settleTimes(source)
    const options = ['--format=pax', '--xattrs', '--xattrs-include=*', '--numeric-owner']
    const tar = execFileSync('tar', ['-c', ...options, '-C', source, '.'])
    await extract(tar, 7)
    expect(describeTree(target)).toEqual(describeTree(source))
    expect(describeXattrs(target)).toEqual(describeXattrs(source))
    expect(describeXattrs(target)).toContain(`security.capability=${capability}`)
  })

  test('a default access list of a directory is not inherited by what is made in it', async () => {
    mkdirSync(join(source, 'd/e'), { recursive: true })
    writeFileSync(join(source, 'd/e/f'), '')
    const acl = Buffer.alloc(4 + 5 * 8)
    acl.writeUInt32LE(2, 0)
    const entries = [
      [1, 7, -1],
      [2, 7, 1_000],
      [4, 5, -1],
      [16, 7, -1],
      [32, 5, -1],
    ] as const
    for (const [at, [tag, permissions, id]] of entries.entries()) {
      acl.writeUInt16LE(tag, 4 + at * 8)
      acl.writeUInt16LE(permissions, 6 + at * 8)
      acl.writeInt32LE(id, 8 + at * 8)
    }
    const name = 'system.posix_acl_default'
    const value = `0x${acl.toString('hex')}`
    execFileSync('setfattr', ['-n', name, '-v', value, join(source, 'd')])
    const options = ['--format=pax', '--xattrs', '--xattrs-include=*']
    const tar = execFileSync('tar', ['-c', ...options, '-C', source, '.'])
    await extract(tar, 4)
    expect(describeXattrs(target)).toEqual(describeXattrs(source))
    expect(describeXattrs(target)).toContain(name)
  })

  test('owners go by number, whatever the names say', async () => {
    const pax = [paxRecord('uname', 'daemon'), paxRecord('gname', 'daemon')]
    await extract(tarOf(entry({ name: 'a', uid: octal(4_242, 7), gid: octal(17, 7), pax })), 1)
    expect(lstatSync(join(target, 'a'))).toMatchObject({ uid: 4_242, gid: 17 })
  })
})

/** A file system of 1 MiB at the target; false where this machine lets nobody mount. */
function mountSmall(): boolean {
  mkdirSync(target)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', target], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

describe.skipIf(!isRoot)('a full file system', () => {
  test.for([10_000, 3_000_000])('files of %i bytes', async (bytes, context) => {
    if (!mountSmall()) {
      context.skip()
      return
    }
    try {
      const blocks = Array.from({ length: Math.ceil(2_000_000 / bytes) }, (_, i) =>
        entry({ name: `f${i}`, content: Buffer.alloc(bytes, 'f') }),
      )
      await expect(extract(tarOf(...blocks), blocks.length)).rejects.toMatchObject({
        code: 'io',
        message: expect.stringMatching(/^writing "f[0-9]+" of the tree: no space left$/),
        data: { errno: 'ENOSPC' },
      })
    } finally {
      // Lazy: a file that a failing extraction left open must not keep the mount.
      execFileSync('umount', ['--lazy', target])
    }
  })
})

/** False where the checkout lies in a folder that only root can enter, such as /root. */
const nobodyCanRunNode =
  isRoot && spawnSync(process.execPath, ['-e', ''], { uid: 65_534, gid: 65_534 }).status === 0

describe.skipIf(!nobodyCanRunNode)('as another user', () => {
  /** Extracts in a process of user `nobody`; gives what it printed. */
  function extractAsNobody(tar: Uint8Array, entries: number): unknown[] {
    const archive = join(scratch.path, 'tar')
    writeFileSync(archive, tar)
    chmodSync(scratch.path, 0o755)
    mkdirSync(target)
    chownSync(target, NOBODY, NOBODY)
    const program = fileURLToPath(new URL('./extract-as.ts', import.meta.url))
    const args = ['--no-warnings', program, archive, target, String(entries)]
    const user = { uid: NOBODY, gid: NOBODY, cwd: target }
    const printed = execFileSync(process.execPath, args, { ...user, encoding: 'utf8' })
    return printed
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line))
  }

  test('owners are left out with one note, and set-user-ID where the owner differs', () => {
    const own = { uid: octal(NOBODY, 7), gid: octal(NOBODY, 7) }
    const tar = tarOf(
      directory('d/', { mode: '0002755\0' }),
      entry({ name: 'd/setuid', mode: '0006755\0' }),
      entry({ name: 'd/own', mode: '0004700\0', ...own }),
      entry({ name: 'd/sticky', mode: '0001600\0' }),
      entry({ name: 'd/link', type: '2', linkName: 'setuid' }),
      entry({ name: 'd/pipe', type: '6' }),
      entry({ name: 'closed', type: '5', mode: '0000000\0' }),
      entry({ name: 'closed/within', mode: '0000400\0' }),
      directory('closed/deeper/', { mode: '0000500\0' }),
    )
    const printed = extractAsNobody(tar, 9)
    expect(printed).toEqual([{ event: 'note', text: expect.stringContaining('only root may') }])
    const mode = (path: string) => (lstatSync(join(target, path)).mode & 0o7777).toString(8)
    const paths = ['d', 'd/setuid', 'd/own', 'd/sticky', 'd/pipe', 'closed', 'closed/deeper']
    expect(paths.map(mode)).toEqual(['755', '755', '4700', '1600', '644', '0', '500'])
    expect(lstatSync(join(target, 'd/setuid'))).toMatchObject({ uid: NOBODY, gid: NOBODY })
  })

  test('attributes of user.* only, also on files that cannot be written, with one note', () => {
    const pax = [
      paxRecord('SCHILY.xattr.user.kept', 'x'),
      paxRecord('SCHILY.xattr.security.capability', 'x'),
    ]
    const own = { uid: octal(NOBODY, 7), gid: octal(NOBODY, 7), mode: '0000444\0' }
    const tar = tarOf(entry({ name: 'a', pax, ...own }), entry({ name: 'b', pax, ...own }))
    const printed = extractAsNobody(tar, 2)
    expect(printed).toEqual([{ event: 'note', text: expect.stringContaining('user.*') }])
    expect(describeXattrs(target)).toContain('user.kept=0x78')
    expect(describeXattrs(target)).not.toContain('security')
    expect(lstatSync(join(target, 'a')).mode & 0o777).toBe(0o444)
  })

  test('a device is refused, with the way to allow it', () => {
    const tar = tarOf(entry({ name: 'tty', type: '3', device: ['0000005\0', '0000001\0'] }))
    const [printed] = extractAsNobody(tar, 1)
    expect(printed).toMatchObject({ code: 'refused', hints: ['run as root'] })
    expect(existsSync(join(target, 'tty'))).toBe(false)
  })
})

test('a missing setfattr is told when the first attribute comes, before the rest', async () => {
  const tar = tarOf(
    entry({ name: 'a', pax: [paxRecord('SCHILY.xattr.user.a', 'x')] }),
    entry({ name: 'b' }),
  )
  const searched = process.env.PATH
  process.env.PATH = scratch.path
  try {
    await expect(extract(tar, 2)).rejects.toMatchObject({
      code: 'missing-tool',
      data: { program: 'setfattr' },
      hints: ['apt-get install attr'],
    })
  } finally {
    process.env.PATH = searched
  }
  expect(existsSync(join(target, 'b'))).toBe(false)
})
