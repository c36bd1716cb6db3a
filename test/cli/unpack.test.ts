import { createHash } from 'node:crypto'
import {
  copyFile,
  mkdir,
  readdir,
  readFile,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { makeScratch } from '../../src/system/scratch.ts'
import { readVectors, vectorKey, vectorPath } from '../vectors/vectors.ts'
import { OPEN, play, steady, TRUST } from './play.ts'

async function scratchFolder(): Promise<string> {
  const scratch = await makeScratch('unpack-verb')
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  return scratch.path
}

const unpack = (name: string, to: string, ...options: string[]) =>
  play(['unpack', vectorPath(name), '--to', to, ...OPEN, ...options])

const sha256 = async (path: string, start: number, length: number): Promise<string> =>
  createHash('sha256')
    .update((await readFile(path)).subarray(start, start + length))
    .digest('hex')

test('a new disk file: the report, and nothing else beside it', async () => {
  const folder = await scratchFolder()
  const ended = await unpack('ok-zstd-ocb', join(folder, 'disk.img'))
  expect(ended).toMatchObject({ status: 0, stderr: '' })
  expect(steady(ended.stdout, folder)).toBe('DIR/disk.img: 11.7 KiB in 4 frames, N s (RATE)\n')
  expect(await readdir(folder)).toEqual(['disk.img'])
  expect((await stat(join(folder, 'disk.img'))).mode & 0o777).toBe(0o600)
})

const disks = readVectors().filter(({ name, rawSha256 }) => rawSha256 && name !== 'ok-tree')
test.each(disks.map((vector) => [vector.name, vector.rawSha256] as const))(
  '%s gives the bytes that were packed',
  async (name, rawSha256) => {
    const folder = await scratchFolder()
    const to = join(folder, 'disk.img')
    const { stdout, status } = await play(['--json', 'inspect', vectorPath(name)])
    expect(status).toBe(0)
    expect(await unpack(name, to, '--verify')).toMatchObject({ status: 0 })
    expect(await sha256(to, 4_096, JSON.parse(stdout).payloads[0].rawBytes)).toBe(rawSha256)
    expect((await stat(to)).size).toBe(65_536)
  },
)

test('the report as JSON', async () => {
  const to = join(await scratchFolder(), 'disk.img')
  const { stdout } = await unpack('ok-zstd-ocb', to, '--json', '--verify')
  const { to: path, seconds, ...report } = JSON.parse(stdout)
  expect(path).toBe(to)
  expect(seconds).toBeGreaterThan(0)
  expect(report).toMatchInlineSnapshot(`
    {
      "bytes": 12000,
      "diskBytes": 65536,
      "frames": 4,
      "framesResumed": 0,
      "verified": true,
    }
  `)
})

test('--stats: phases, stages, the limit, memory; without it none of that', async () => {
  const folder = await scratchFolder()
  const ended = await unpack('ok-zstd-ocb', join(folder, 'disk.img'), '--stats', '--workers', '2')
  expect(ended).toMatchObject({ status: 0, stderr: '' })
  const [report, ...split] = ended.stdout.split('\n\n')
  expect(report).toMatch(/^\S+disk\.img: 11\.7 KiB in 4 frames/)
  const [phases = '', stages = '', end = ''] = split
  expect(phases).toMatch(/^start +[\d.]+ s\nopening .*\nwriting .*\nflushing .*\nfinishing [^\n]*$/)
  for (const stage of ['read', 'digest', 'open', 'decompress', 'write']) {
    expect(stages).toMatch(new RegExp(`^${stage} +[\\d.]+ s`, 'm'))
  }
  expect(stages).toMatch(/^threads wait +[\d.]+ s +[\d.]* +of 2 threads$/m)
  expect(end).toMatch(/^limit: \w+ \(busy: threads \d+ %, main thread \d+ %\)\npeak memory: .+\n$/)
  const plain = await unpack('ok-zstd-ocb', join(folder, 'other.img'))
  expect(plain.stdout.split('\n')).toHaveLength(2)
})

test('--stats as JSON, of a disk and of a tree', async () => {
  const folder = await scratchFolder()
  const disk = await unpack('ok-zstd-ocb', join(folder, 'disk.img'), '--json', '--stats')
  const tree = await unpack('ok-tree', join(folder, 'tree/'), '--json', '--stats')
  for (const { stdout } of [disk, tree]) {
    const { stats } = JSON.parse(stdout)
    const parts = ['startSeconds', 'phases', 'stages', 'split', 'peakBytes']
    expect(Object.keys(stats)).toEqual(parts)
    expect(stats.stages.decompress).toBeGreaterThan(0)
    expect(stats.split.bytesPerSecond).toBeGreaterThan(0)
  }
  expect(Object.keys(JSON.parse(tree.stdout).stats.phases)).toContain('extracting')
  const plain = await unpack('ok-zstd-ocb', join(folder, 'other.img'), '--json')
  expect(JSON.parse(plain.stdout)).not.toHaveProperty('stats')
})

test('--size makes a larger file, whose rest is empty', async () => {
  const to = join(await scratchFolder(), 'disk.img')
  expect(await unpack('ok-zstd-ocb', to, '--size', '3MiB')).toMatchObject({ status: 0 })
  const bytes = await readFile(to)
  expect(bytes.length).toBe(3 * 1024 * 1024)
  expect(bytes.subarray(65_536).every((byte) => byte === 0)).toBe(true)
})

test('the plan, as text', async () => {
  const to = join(await scratchFolder(), 'disk.img')
  const { stdout } = await play([
    ...['unpack', vectorPath('ok-zstd-ocb'), '--to', to],
    ...['--dry-run', '--size', '1MiB', ...TRUST],
  ])
  expect(stdout).toMatchInlineSnapshot(`
    "disk of 1.00 MiB, table none
    write 11.7 KiB in 4 frames, zero 8.00 KiB
    last: 4 frames at the start of the disk, then the partition table
    "
  `)
})

test('the plan, as JSON', async () => {
  const folder = await scratchFolder()
  const argv = ['unpack', vectorPath('ok-zstd-ocb'), '--to', join(folder, 'disk.img')]
  const { stdout } = await play(['--json', ...argv, '--dry-run', ...TRUST])
  expect(JSON.parse(stdout)).toMatchInlineSnapshot(`
    {
      "bodyFrames": 0,
      "dataBytes": 12000,
      "diskBytes": 65536,
      "headFrames": 4,
      "layout": {
        "minimumBytes": 65536,
        "partitions": [],
        "sectorBytes": 512,
        "table": {
          "kind": "none",
        },
      },
      "zeroBytes": 8192,
    }
  `)
  expect(await readdir(folder)).toEqual([])
})

test('what exists is refused, and written into with --force', async () => {
  const to = join(await scratchFolder(), 'disk.img')
  await writeFile(to, Buffer.alloc(70_000, 7))
  const refused = await unpack('ok-zstd-ocb', to)
  expect(refused).toMatchObject({ status: 3, stdout: '' })
  expect(refused.stderr).toContain(`unpacking to ${to}: it exists\nhint: --force writes into it\n`)
  expect(await readFile(to)).toEqual(Buffer.alloc(70_000, 7))
  expect(await unpack('ok-zstd-ocb', to, '--force')).toMatchObject({ status: 0 })
  expect((await stat(to)).size).toBe(70_000)
})

test('a file that is too small is refused before it is changed', async () => {
  const to = join(await scratchFolder(), 'disk.img')
  await writeFile(to, Buffer.alloc(60_000, 7))
  const ended = await unpack('ok-zstd-ocb', to, '--force')
  expect(ended.status).toBe(3)
  expect(ended.stderr).toContain('the target has 58.6 KiB, the image needs 64.0 KiB')
  expect(await readFile(to)).toEqual(Buffer.alloc(60_000, 7))
})

test.each(['the same path', 'a symbolic link', 'another spelling'])(
  'the image itself is no target: %s',
  async (way) => {
    const folder = await scratchFolder()
    const image = join(folder, 'a.osimg')
    await copyFile(vectorPath('ok-zstd-ocb'), image)
    const before = await readFile(image)
    await symlink('a.osimg', join(folder, 'link'))
    const to =
      way === 'a symbolic link'
        ? join(folder, 'link')
        : way === 'the same path'
          ? image
          : `${folder}/./a.osimg`
    const ended = await play(['unpack', image, '--to', to, '--force', ...OPEN])
    expect(ended.status).toBe(3)
    expect(ended.stderr).toContain('it is the image itself\nhint: choose another --to\n')
    expect(await readFile(image)).toEqual(before)
  },
)

test.each([
  ['no trust', ['--identity', vectorKey('recipient.key')], 2],
  ['no identity', [...TRUST], 2],
  ['a stranger trusted', ['--trust', vectorKey('stranger.pub'), ...OPEN.slice(2)], 4],
  ['a wrong key', [...TRUST, '--identity', vectorKey('other.key')], 4],
  ['a threshold that is not met', [...OPEN, '--threshold', '2'], 4],
])('%s: nothing is made', async (_, options, status) => {
  const folder = await scratchFolder()
  const argv = ['unpack', vectorPath('ok-zstd-ocb'), '--to', join(folder, 'disk.img')]
  const ended = await play([...argv, ...options])
  expect(ended).toMatchObject({ status, stdout: '' })
  expect(ended.stderr).toMatch(/^osflash: error: [^\n]+\nhint: /)
  expect(await readdir(folder)).toEqual([])
})

const broken = readVectors().filter(({ expect: wanted }) => wanted !== 'ok')
test.each(broken.map(({ name }) => name))('%s never gets the name of a disk', async (name) => {
  const folder = await scratchFolder()
  const ended = await unpack(name, join(folder, 'disk.img'), '--verify')
  expect([4, 6, 7]).toContain(ended.status)
  expect(await readdir(folder)).not.toContain('disk.img')
})

test('a tree goes to a directory, not to a file', async () => {
  const folder = await scratchFolder()
  const refused = await unpack('ok-tree', join(folder, 'tree'))
  expect(refused.status).toBe(3)
  expect(await readdir(folder)).toEqual([])
  expect(await unpack('ok-tree', join(folder, 'tree/'))).toMatchObject({ status: 0 })
  expect(await readdir(folder)).toEqual(['tree'])
  const again = await unpack('ok-tree', join(folder, 'tree'))
  expect(again.status).toBe(3)
})

test('a disk goes to no directory', async () => {
  const folder = await scratchFolder()
  await mkdir(join(folder, 'here'))
  expect(await unpack('ok-zstd-ocb', join(folder, 'here'))).toMatchObject({ status: 3 })
  expect(await readdir(join(folder, 'here'))).toEqual([])
})

test('a checkpoint of another image is refused, and says what to do', async () => {
  const folder = await scratchFolder()
  const to = join(folder, 'disk.img')
  await writeFile(to, '')
  await truncate(to, 65_536)
  const other = { format: 'osflash-checkpoint/1', manifestDigest: 'x', targetBytes: 1, frames: 2 }
  for (const text of [JSON.stringify(other), '', '{', '[]']) {
    await writeFile(`${to}.checkpoint`, text)
    const ended = await unpack('ok-zstd-ocb', to, '--force', '--resume')
    expect(ended).toMatchObject({ status: 3, stdout: '' })
    expect(ended.stderr).toContain('it belongs to another image or target\nhint: run without')
  }
})

test('a resume without a checkpoint says that it starts again', async () => {
  const to = join(await scratchFolder(), 'disk.img')
  await writeFile(`${to}.partial`, Buffer.alloc(65_536))
  const ended = await unpack('ok-zstd-ocb', to, '--resume')
  expect(ended.status).toBe(0)
  expect(ended.stderr).toBe(`no checkpoint at ${to}.checkpoint: from the start\n`)
})

test('a second resume of a disk that is done is refused like any other target', async () => {
  const to = join(await scratchFolder(), 'disk.img')
  await unpack('ok-zstd-ocb', to)
  const before = await readFile(to)
  expect(await unpack('ok-zstd-ocb', to, '--resume')).toMatchObject({ status: 3 })
  expect(await readFile(to)).toEqual(before)
})

test('an interrupted run with a checkpoint says that --resume goes on', async () => {
  const folder = await scratchFolder()
  const to = join(folder, 'disk.img')
  const image = join(folder, 'a.osimg')
  await copyFile(vectorPath('ok-zstd-ocb'), image)
  // As an earlier run leaves it, cut after one frame.
  const { createHash: hash } = await import('node:crypto')
  const manifest = await manifestOf(image)
  const manifestDigest = hash('sha256').update(manifest).digest('hex')
  const checkpoint = { manifestDigest, targetBytes: 65_536, frames: 1 }
  await writeFile(`${to}.partial`, Buffer.alloc(65_536))
  await writeFile(
    `${to}.checkpoint`,
    JSON.stringify({ format: 'osflash-checkpoint/1', ...checkpoint }),
  )
  await flipLastPayload(image)
  const ended = await play(['unpack', image, '--to', to, '--resume', ...OPEN])
  expect(ended.status).toBe(6)
  expect(ended.stderr).toContain(
    'hint: the same command with --resume goes on from the checkpoint\n',
  )
})

/** The bytes of the first member. */
async function manifestOf(image: string): Promise<Buffer> {
  const bytes = await readFile(image)
  const length = Number.parseInt(bytes.subarray(124, 135).toString(), 8)
  return bytes.subarray(512, 512 + length)
}

/** Flips a bit in the last member, behind its header. */
async function flipLastPayload(image: string): Promise<void> {
  const bytes = await readFile(image)
  const header = bytes.lastIndexOf('payloads/root.001')
  bytes.writeUInt8(bytes.readUInt8(header + 512 + 200) ^ 1, header + 512 + 200)
  await writeFile(image, bytes)
}
