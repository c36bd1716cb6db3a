/** A tree through the whole program: packed, inspected, unpacked, compared; and damaged. */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openFileSource } from '../../../src/deliver/file.ts'
import type { ProgressEvent } from '../../../src/events.ts'
import { packImage } from '../../../src/pack/image/pack.ts'
import { run } from '../../../src/system/run.ts'
import { makeScratch, type Scratch } from '../../../src/system/scratch.ts'
import { MIB } from '../../../src/units.ts'
import { openImage } from '../../../src/unpack/image.ts'
import { type UnpackTreeOptions, unpackTree } from '../../../src/unpack/unpack-tree.ts'
import { directory, entry, tarOf } from '../../format/tree/hand-made-tar.ts'
import { makeKeys, makeOptions, range, type TestKeys } from '../../pack/image/fixtures.ts'
import { checkFor } from '../disk-fixtures.ts'
import { type Described, describeTree, describeXattrs } from './described-tree.ts'
import { failureOf, gnuTar } from './extraction.ts'
import { isRoot, makeSourceTree, SLICE } from './source-tree.ts'

const PROGRAM = join(import.meta.dirname, '../../../bin/osflash')
let scratch: Scratch
let folder: string
let entries: number
const at = (name: string) => join(folder, name)

async function osflash(...args: string[]) {
  const statuses = [0, 1, 2, 3, 4, 5, 6, 7]
  let stderr = ''
  const onStderr = (text: string): void => {
    stderr += text
  }
  const ended = await run([PROGRAM, ...args], { cwd: folder, statuses, onStderr })
  return { ...ended, stderr }
}

const unpackTo = (image: string, to: string, ...more: string[]) => {
  const keys = ['--trust', 'keys/signer.pub', '--identity', 'keys/recipient.key']
  return osflash('unpack', image, '--to', to, ...keys, ...more)
}

/** All below the folder itself: it is no entry of its tar. */
const below = (root: string): Described =>
  Object.fromEntries(Object.entries(describeTree(root)).filter(([path]) => path !== '.'))

beforeAll(async () => {
  scratch = await makeScratch('unpack-tree')
  folder = scratch.path
  mkdirSync(at('tree'))
  entries = makeSourceTree(at('tree'))
  expect(await osflash('keygen', '--out', 'keys')).toMatchObject({ status: 0 })
  const keys = ['--recipient', 'keys/recipient.pub', '--sign-with', 'keys/signer.key']
  const packed = await osflash('pack', 'tree', '-o', 'tree.osimg', ...keys)
  expect(packed.stderr).not.toContain('osflash:')
  expect(packed.status).toBe(0)
})

afterAll(() => scratch[Symbol.asyncDispose]())

describe('a packed folder', () => {
  test('is inspected as one tree, its zeros apart', async () => {
    const { stdout, status } = await osflash('inspect', '--json', 'tree.osimg')
    expect(status).toBe(0)
    const { payloads } = JSON.parse(stdout)
    expect(payloads).toMatchObject([{ name: 'tree', kind: 'tree' }])
    expect(payloads[0].zeroBytes).toBeGreaterThan(18 * MIB)
    expect(payloads[0].frames).toBeGreaterThan(4)
  })

  test.each(['1', '4'])('is unpacked as it was, with %s workers', async (workers) => {
    const to = `out-${workers}/`
    expect(await unpackTo('tree.osimg', to, '--workers', workers)).toMatchObject({ status: 0 })
    expect(below(at(to))).toEqual(below(at('tree')))
    expect(describeXattrs(at(to))).toEqual(describeXattrs(at('tree')))
    const { mode, size } = statSync(at(`${to}lib/systemd/system/${SLICE}`))
    expect([mode & 0o777, size]).toEqual([0o644, '[Unit]\n'.length])
    if (isRoot) expect(statSync(at(`${to}noise`))).toMatchObject({ uid: 1_234, gid: 56_789 })
    expect(statSync(at(to)).mode & 0o777).toBe(0o755)
  })

  test('is not unpacked over anything', async () => {
    mkdirSync(at('full'))
    writeFileSync(at('full/kept'), 'kept')
    const { status, stderr } = await unpackTo('tree.osimg', 'full')
    expect(status).toBe(3)
    expect(stderr).toContain('it is not empty')
    expect(readdirSync(at('full'))).toEqual(['kept'])
  })

  test('is not unpacked to a file', async () => {
    writeFileSync(at('file'), '')
    expect(await unpackTo('tree.osimg', 'file', '--force')).toMatchObject({ status: 3 })
    expect(statSync(at('file')).size).toBe(0)
  })
})

describe('a damaged image', () => {
  /** A copy with one bit inverted. */
  function flipped(name: string, byte: number): string {
    const bytes = readFileSync(at('tree.osimg'))
    bytes[byte] = (bytes[byte] ?? 0) ^ 1
    writeFileSync(at(name), bytes)
    return name
  }

  test('in its manifest: nothing is made', async () => {
    const { status, stderr } = await unpackTo(flipped('manifest.osimg', 600), 'never/')
    expect(status).toBe(4)
    expect(stderr).toContain('signature')
    expect(existsSync(at('never'))).toBe(false)
  })

  test.each(['1', '4'])('in a segment, with %s workers: a digest', async (workers) => {
    await using source = await openFileSource(at('tree.osimg'))
    const image = await openImage(source, undefined)
    const segment = image.members.find(({ name }) => name.endsWith('.000.zst.pgp'))
    if (segment === undefined) throw new Error('no segment')
    const name = flipped(`segment-${workers}.osimg`, segment.contentOffset + 9 * MIB)
    const { status, stderr } = await unpackTo(name, `part-${workers}/`, '--workers', workers)
    expect(status).toBe(6)
    expect(stderr).toContain('payload')
    // The damage lies in `noise`: what comes later in the tar is never begun.
    expect(existsSync(at(`part-${workers}/private`))).toBe(false)
    expect(existsSync(at(`part-${workers}/zeros-within`))).toBe(false)
  })
})

describe('an image of two trees', () => {
  let keys: TestKeys
  beforeAll(async () => {
    keys = await makeKeys()
  })

  /** Tars by the name of their payload. */
  async function pack(name: string, trees: Record<string, { tar: Buffer; entries: number }>) {
    const payloads = Object.entries(trees).map(([payload, tree]) => {
      const path = at(`${name}-${payload}.tar`)
      writeFileSync(path, tree.tar)
      const place = { kind: 'tree', entries: tree.entries } as const
      return { name: payload, place, path, range: range(0, tree.tar.length), unused: [] }
    })
    const about = { name, sequence: 1, created: '2023-11-14T22:13:20Z', firmware: [], payloads }
    const system = { os: { family: 'linux' }, architecture: 'x86_64' } as const
    await packImage({ ...about, ...system }, makeOptions(keys, at(`${name}.osimg`)))
    return at(`${name}.osimg`)
  }

  async function unpack(image: string, options: Partial<UnpackTreeOptions>) {
    await using source = await openFileSource(image)
    return await unpackTree({
      source,
      check: checkFor(keys),
      identities: [keys.recipient],
      directory: at('unused'),
      workers: 2,
      emit: () => undefined,
      signal: new AbortController().signal,
      ...options,
    })
  }

  const small = () => ({ tar: tarOf(directory('d'), entry({ name: 'd/f' })), entries: 2 })

  test('makes a folder for each, then flushes', async () => {
    const image = await pack('two', { first: gnuTar(at('tree')), second: small() })
    const events: ProgressEvent[] = []
    const report = await unpack(image, { directory: at('two'), emit: (one) => events.push(one) })
    expect(report.entries).toBe(entries + 1 + 2)
    expect(readdirSync(at('two'))).toEqual(['first', 'second'])
    expect(statSync(at('two')).mode & 0o777).toBe(0o755)
    expect(describeTree(at('two/first'))).toEqual(describeTree(at('tree')))
    expect(readdirSync(at('two/second/d'))).toEqual(['f'])
    const phases = events.flatMap((one) => (one.event === 'phase' ? [one] : []))
    expect(phases.map(({ phase, state }) => `${phase} ${state}`)).toEqual([
      'extracting start',
      'extracting end',
      'flushing start',
      'flushing end',
    ])
    const amounts = events.flatMap((one) => (one.event === 'progress' ? [one] : []))
    expect(amounts.at(-1)).toMatchObject({ done: report.bytes, total: report.bytes })
  })

  test('goes to an empty folder that is there, and to no other', async () => {
    const image = await pack('pair', { first: small(), second: small() })
    mkdirSync(at('there'), { mode: 0o750 })
    await unpack(image, { directory: at('there') })
    expect(readdirSync(at('there'))).toEqual(['first', 'second'])
    expect(statSync(at('there')).mode & 0o777).toBe(0o750)
    const error = await failureOf(unpack(image, { directory: at('there') }))
    expect(error).toMatchObject({ code: 'refused' })
    expect(error.message).toContain('it is not empty')
  })

  test('whose second tree has too many entries: nothing is made', async () => {
    const many = { ...small(), entries: 5_000_001 }
    const image = await pack('many', { first: small(), second: many })
    const error = await failureOf(unpack(image, { directory: at('many') }))
    expect(error).toMatchObject({ code: 'limit', data: { limit: 'tarEntries' } })
    expect(existsSync(at('many'))).toBe(false)
  })

  test('without the key, or by somebody else: nothing is made', async () => {
    const image = await pack('locked', { first: small(), second: small() })
    const other = await makeKeys()
    const attempts = [{ identities: [other.recipient] }, { check: checkFor(other) }]
    for (const [i, options] of attempts.entries()) {
      const error = await failureOf(unpack(image, { directory: at('locked'), ...options }))
      expect(error.code).toBe(['decryption', 'signature'][i])
      expect(existsSync(at('locked'))).toBe(false)
    }
  })

  test('cancelled meanwhile: an error, and the next run is told to clean up', async () => {
    const image = await pack('cancelled', { first: gnuTar(at('tree')), second: small() })
    const stop = new AbortController()
    const emit = ({ event }: ProgressEvent): void => {
      if (event === 'progress') stop.abort()
    }
    const options = { directory: at('cancelled'), signal: stop.signal, emit }
    expect(await failureOf(unpack(image, options))).toMatchObject({ code: 'cancelled' })
    expect(existsSync(at('cancelled/second'))).toBe(false)
    expect(await failureOf(unpack(image, { directory: at('cancelled') }))).toMatchObject({
      code: 'refused',
      hints: expect.arrayContaining([expect.stringContaining('rm -r')]),
    })
  })
})
