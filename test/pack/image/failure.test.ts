/** Whatever goes wrong, neither an image nor a scratch folder is left. */
import { chmod, mkdir, readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { OsflashError } from '../../../src/errors.ts'
import type { ProgressEvent } from '../../../src/events.ts'
import { packImage } from '../../../src/pack/image/pack.ts'
import { run } from '../../../src/system/run.ts'
import { KIB, MIB } from '../../../src/units.ts'
import {
  makeFolder,
  makeKeys,
  makeOptions,
  makeSource,
  noise,
  range,
  type TestKeys,
} from './fixtures.ts'
import { readImage } from './read-image.ts'

const RAW = noise(9 * MIB, 1)

let keys: TestKeys
beforeAll(async () => {
  keys = await makeKeys()
})

/** The error of a run that must fail. */
async function failureOf(work: Promise<unknown>): Promise<OsflashError> {
  const error = await work.then(
    () => new Error('it succeeded'),
    (cause: unknown) => cause,
  )
  if (error instanceof OsflashError) return error
  throw error
}

/** Two payloads in a folder of their own, and an empty folder for the image. */
async function setUp(folder: string) {
  const input = join(folder, 'input')
  const out = join(folder, 'out')
  await mkdir(input)
  await mkdir(out)
  const source = await makeSource(input, [
    { name: 'one', raw: RAW },
    { name: 'two', raw: RAW },
  ])
  return { source, input, out, options: makeOptions(keys, join(out, 'a.osimg')) }
}

describe('a cancelled run', () => {
  it.each([
    ['compressing', 'start'],
    ['scanning', 'start'],
    ['scanning', 1],
    ['scanning', 3],
    ['scanning', 'end'],
    ['compressing', 1],
    ['compressing', 5],
    ['compressing', 'end'],
    ['assembling', 'start'],
    ['assembling', 1],
    ['assembling', 4],
    ['flushing', 'start'],
  ] as const)('leaves nothing when cancelled while %s (%s)', async (phase, moment) => {
    await using folder = await makeFolder()
    const { source, out, options } = await setUp(folder.path)
    const controller = new AbortController()
    let amounts = 0
    const emit = (event: ProgressEvent): void => {
      if (event.event === 'note' || event.phase !== phase) return
      if (event.event === 'progress') amounts += 1
      if (moment === (event.event === 'phase' ? event.state : amounts)) controller.abort()
    }
    const work = packImage(source, { ...options, emit, signal: controller.signal })
    expect((await failureOf(work)).code).toBe('cancelled')
    expect(await readdir(out)).toEqual([])
  })

  it('does nothing when the signal has fired before', async () => {
    await using folder = await makeFolder()
    const { source, out, options } = await setUp(folder.path)
    const work = packImage(source, { ...options, signal: AbortSignal.abort() })
    expect((await failureOf(work)).code).toBe('cancelled')
    expect(await readdir(out)).toEqual([])
  })
})

describe('a source that cannot be read', () => {
  it('is named when it is missing', async () => {
    await using folder = await makeFolder()
    const { source, out, options, input } = await setUp(folder.path)
    const path = join(input, 'absent.raw')
    const payloads = source.payloads.map((payload) => ({ ...payload, path }))
    const error = await failureOf(packImage({ ...source, payloads }, options))
    expect(error.code).toBe('io')
    expect(error.message).toBe(`opening ${path}: no such file or directory`)
    expect(await readdir(out)).toEqual([])
  })

  it('is named when it is a folder, or shorter than the payload', async () => {
    await using folder = await makeFolder()
    const { source, out, options, input } = await setUp(folder.path)
    const [first] = source.payloads
    if (first === undefined) throw new Error('no payload')
    const dir = { ...source, payloads: [{ ...first, path: input }] }
    expect((await failureOf(packImage(dir, options))).message).toBe(
      `opening ${input}: not a file or block device`,
    )
    const long = { ...source, payloads: [{ ...first, range: range(1, 9 * MIB) }] }
    expect((await failureOf(packImage(long, options))).message).toBe(
      `opening ${first.path}: 9437184 bytes where 9437185 belong`,
    )
    expect(await readdir(out)).toEqual([])
  })

  it('is named with the byte when it ends while it is read', async () => {
    await using folder = await makeFolder()
    const { source, out, options } = await setUp(folder.path)
    const path = source.payloads[1]?.path ?? ''
    await using workDone = {
      shrunk: undefined as Promise<void> | undefined,
      async [Symbol.asyncDispose]() {
        await this.shrunk
      },
    }
    const emit = (event: ProgressEvent): void => {
      if (event.event === 'phase') workDone.shrunk ??= truncate(path, 5 * MIB)
    }
    const error = await failureOf(packImage(source, { ...options, workers: 1, emit }))
    expect(error.message).toMatch(/^reading .*two\.raw at byte \d+: the file ends here$/)
    expect(await readdir(out)).toEqual([])
  })
})

describe('an output that cannot be written', () => {
  it('is refused when it exists, and replaced with force', async () => {
    await using folder = await makeFolder()
    const { source, out, options } = await setUp(folder.path)
    await writeFile(options.output, 'precious')
    const error = await failureOf(packImage(source, options))
    expect(error.code).toBe('refused')
    expect(error.hints.join()).toContain('--force')
    expect(await readFile(options.output, 'utf8')).toBe('precious')
    expect(await readdir(out)).toEqual(['a.osimg'])
    await packImage(source, { ...options, force: true })
    expect((await readImage(options.output, [keys.recipient])).payloads.size).toBe(2)
  })

  it('is refused when another run writes it', async () => {
    await using folder = await makeFolder()
    const { source, out, options } = await setUp(folder.path)
    const partial = `${options.output}.partial`
    await writeFile(partial, 'of another run')
    const error = await failureOf(packImage(source, options))
    expect(error.code).toBe('refused')
    expect(error.hints).toEqual([`when no other run is writing it: rm ${partial}`])
    expect(await readFile(partial, 'utf8')).toBe('of another run')
    expect(await readdir(out)).toEqual(['a.osimg.partial'])
  })

  it('is refused when its name was taken while the image was made', async () => {
    await using folder = await makeFolder()
    const { source, out, options } = await setUp(folder.path)
    let taken: Promise<void> | undefined
    const emit = (event: ProgressEvent): void => {
      if (event.event === 'phase') taken ??= writeFile(options.output, 'precious')
    }
    const error = await failureOf(packImage(source, { ...options, emit }))
    await taken
    expect(error.code).toBe('refused')
    expect(await readFile(options.output, 'utf8')).toBe('precious')
    expect(await readdir(out)).toEqual(['a.osimg'])
  })

  it('is named when its folder does not exist', async () => {
    await using folder = await makeFolder()
    const { source, options } = await setUp(folder.path)
    const output = join(folder.path, 'absent', 'a.osimg')
    const error = await failureOf(packImage(source, { ...options, output }))
    expect(error.code).toBe('io')
    expect(error.message).toContain(join(folder.path, 'absent'))
  })

  it.skipIf(process.getuid?.() === 0)('is named when its folder is read-only', async () => {
    await using folder = await makeFolder()
    const { source, out, options } = await setUp(folder.path)
    await chmod(out, 0o500)
    const error = await failureOf(packImage(source, options))
    expect(error.message).toContain('permission denied')
  })

  /** Sizes that end in the spool file, and in the image. */
  it.for([6 * MIB, 20 * MIB])(
    'says where the disk of %i bytes is full, and leaves nothing on it',
    async (size, { skip }) => {
      await using folder = await makeFolder()
      const { source, options } = await setUp(folder.path)
      await using disk = await mountTmpfs(join(folder.path, 'disk'), size)
      if (disk === undefined) return skip('a full disk needs the right to mount a tmpfs')
      const output = join(disk.path, 'a.osimg')
      const error = await failureOf(packImage(source, { ...options, output }))
      expect(error.code).toBe('io')
      expect(error.message).toMatch(/^writing .*disk\/.* at byte \d+: no space left$/)
      expect(await readdir(disk.path)).toEqual([])
    },
  )
})

/** A disk in memory; undefined where this user may not mount. */
async function mountTmpfs(path: string, bytes: number) {
  await mkdir(path)
  const options = `size=${bytes / KIB}k,mode=700`
  const { status } = await run(['mount', '-t', 'tmpfs', '-o', options, 'none', path], {
    statuses: [0, 1, 32],
  })
  if (status !== 0) return undefined
  return {
    path,
    [Symbol.asyncDispose]: async () => {
      await run(['umount', path])
    },
  }
}

describe('options and sources that make no image', () => {
  it.each([
    [{ workers: 0 }, 'number of workers is 0, not 1 to 256'],
    [{ level: 23 }, 'level of zstd is 23, not -7 to 22'],
    [{ codec: 'xz', level: 9 }, 'level of xz is 9, not 6 to 6'],
    [{ chunkOctet: 17 }, 'chunk octet is 17, not 6 to 16'],
    [{ recipients: [] }, 'number of recipients is 0, not 1 to 1024'],
    [{ signers: [] }, 'number of signing keys is 0, not 1 to 16'],
  ] as const)('refuses %o', async (wrong, message) => {
    await using folder = await makeFolder()
    const { source, out, options } = await setUp(folder.path)
    const error = await failureOf(packImage(source, { ...options, ...wrong }))
    expect(error.code).toBe('usage')
    expect(error.message).toContain(message)
    expect(await readdir(out)).toEqual([])
  })

  it('refuses a faulty manifest before it reads a payload', async () => {
    await using folder = await makeFolder()
    const { source, out, options } = await setUp(folder.path)
    const events: ProgressEvent[] = []
    const emit = (event: ProgressEvent): void => void events.push(event)
    const faulty = { ...source, payloads: source.payloads.map((one) => ({ ...one, name: 'same' })) }
    const error = await failureOf(packImage(faulty, { ...options, emit }))
    expect(error.message).toBe('reading manifest.json: payload same is named twice')
    expect(events).toEqual([])
    expect(await readdir(out)).toEqual([])
  })

  it('refuses a certificate that cannot encrypt before it reads a payload', async () => {
    await using folder = await makeFolder()
    const { source, out, options } = await setUp(folder.path)
    const work = packImage(source, { ...options, recipients: [keys.signerCert] })
    expect((await failureOf(work)).code).toBe('refused')
    expect(await readdir(out)).toEqual([])
  })
})
