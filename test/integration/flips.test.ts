/**
 * Any one bit of an image flipped: `verify` and `unpack` refuse, and name the place.
 *
 * 1. Bits are drawn by a seeded generator; the seed is in the name of the test and can be given
 *    with OSFLASH_TEST_SEED.
 * 2. Two images: in one a segment is one block, which the main thread checks before it starts
 *    threads (some 100 ms each), so that thousands of flips take seconds; in the other, blocks
 *    have 256 KiB, and the threads find the flips.
 * 3. In this process through a source that flips on the fly; a few through the program.
 */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Source } from '../../src/deliver/source.ts'
import { generateKeys } from '../../src/encrypt/keys.ts'
import { exitStatus, OsflashError } from '../../src/errors.ts'
import { run } from '../../src/system/run.ts'
import { KIB, MIB } from '../../src/units.ts'
import { verifyImage } from '../../src/unpack/verify.ts'
import { pairOf } from '../encrypt/key-ring.ts'
import { noise, type TestKeys } from '../pack/image/fixtures.ts'
import { checkFor, packDisk, unpackTest } from '../unpack/disk-fixtures.ts'
import { randomFrom } from './random.ts'

const FLIPS = 2_000
const SEED = Number(process.env.OSFLASH_TEST_SEED ?? 20_260_101)

let folder = ''
let quick: Image
let usual: Image
let keys: TestKeys
interface Image {
  readonly path: string
  readonly bytes: Buffer
}
const keyFile = (name: string): string => join(folder, name)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'osflash-flips-'))
  const texts = await generateKeys()
  await writeFile(keyFile('signer.pub'), texts.signerCert)
  await writeFile(keyFile('recipient.key'), texts.recipientKey)
  const { key: signer, cert: signerCert } = await pairOf(texts.signerKey)
  const { key: recipient, cert: recipientCert } = await pairOf(texts.recipientKey)
  keys = { signer, signerCert, recipient, recipientCert }
  const raw = [noise(700 * KIB, 1), noise(600 * KIB, 2)]
  const regions = [
    { name: 'boot', offset: 40 * 512, raw: noise(31 * KIB, 3) },
    { name: 'root', offset: MIB, raw: Buffer.concat([...raw, Buffer.alloc(MIB)]) },
  ]
  const pack = async (name: string, chunkOctet: number): Promise<Image> => {
    const output = join(folder, name)
    const path = await packDisk({ folder, regions }, keys, { output, chunkOctet })
    return { path, bytes: await readFile(path) }
  }
  quick = await pack('quick.osimg', 16)
  usual = await pack('usual.osimg', 12)
})
afterAll(() => rm(folder, { recursive: true, force: true }))

interface Flip {
  readonly image: Image
  readonly byte: number
  readonly bit: number
}

function* flips(image: Image, count: number, seed: number): Generator<Flip> {
  const random = randomFrom(seed)
  for (let n = 0; n < count; n += 1) {
    yield { image, byte: random(image.bytes.length), bit: random(8) }
  }
}

function flippedBytes({ image, byte, bit }: Flip): Buffer {
  const flipped = Buffer.from(image.bytes)
  flipped.writeUInt8(flipped.readUInt8(byte) ^ (1 << bit), byte)
  return flipped
}

/** The image with one bit flipped. */
function flippedSource(flip: Flip): Source {
  const flipped = flippedBytes(flip)
  return {
    name: 'flipped.osimg',
    bytes: flipped.length,
    read: async (offset, into) => {
      into.set(flipped.subarray(offset, offset + into.length))
    },
    [Symbol.asyncDispose]: async () => undefined,
  }
}

const emit = (): void => undefined

function verify(flip: Flip, opens: boolean) {
  const identities = opens ? [keys.recipient] : []
  return verifyImage({
    source: flippedSource(flip),
    check: checkFor(keys),
    identities,
    emit,
    workers: 1,
  })
}

/** A member, a block, a frame or a byte of the image. */
const PLACE = /manifest|keys\.pgp|payloads\/|byte \d+|bytes \d+|payload \w+/

/** Refused with status 4 or 6, and a place; otherwise a line that says what happened. */
async function problem(flip: Flip, work: Promise<unknown>): Promise<string[]> {
  const label = `bit ${flip.bit} of byte ${flip.byte}`
  const failure = await work.then(
    () => 'accepted',
    (error: unknown) => error,
  )
  if (!(failure instanceof OsflashError)) return [`${label}: ${String(failure)}`]
  if (![4, 6].includes(exitStatus(failure))) return [`${label}: ${failure.code}`]
  return PLACE.test(failure.message) ? [] : [`${label}: no place in ${failure.message}`]
}

it.each([
  ['quick', FLIPS],
  ['usual', 60],
] as const)('verify refuses flips of %s, %i of them', async (name, count) => {
  const problems: string[] = []
  for (const flip of flips(name === 'quick' ? quick : usual, count, SEED)) {
    problems.push(...(await problem(flip, verify(flip, true))))
  }
  expect(problems, `seed ${SEED}`).toEqual([])
})

it('verify without an identity refuses them too', async () => {
  const problems: string[] = []
  const both = [...flips(quick, FLIPS / 10, SEED + 1), ...flips(usual, 20, SEED + 1)]
  for (const flip of both) problems.push(...(await problem(flip, verify(flip, false))))
  expect(problems, `seed ${SEED + 1}`).toEqual([])
})

it.each([
  ['quick', FLIPS],
  ['usual', 60],
] as const)('unpack refuses flips of %s, %i of them, and gives no disk', async (name, count) => {
  const problems: string[] = []
  const to = join(folder, 'disk.img')
  for (const flip of flips(name === 'quick' ? quick : usual, count, SEED + 2)) {
    const work = unpackTest({ image: '', source: flippedSource(flip), keys, to, workers: 1 })
    problems.push(...(await problem(flip, work)))
  }
  expect(problems, `seed ${SEED + 2}`).toEqual([])
  expect(await readdir(folder)).not.toContain('disk.img')
})

it('signatures, keys and headers count without an identity, too', async () => {
  const problems: string[] = []
  // Headers, signatures and keys lie in front of the first segment.
  const end = quick.bytes.indexOf('payloads/boot.index')
  for (let byte = 0; byte < end; byte += 5) {
    const flip = { image: quick, byte, bit: byte % 8 }
    problems.push(...(await problem(flip, verify(flip, false))))
  }
  expect(problems).toEqual([])
})

it('the program ends with 4 or 6 and one line that names the place', async () => {
  const osflash = join(import.meta.dirname, '../../bin/osflash')
  const flipped = join(folder, 'flipped.osimg')
  const keyOptions = ['--trust', keyFile('signer.pub'), '--identity', keyFile('recipient.key')]
  for (const [n, flip] of [...flips(usual, 20, SEED + 3)].entries()) {
    await writeFile(flipped, flippedBytes(flip))
    const verb = n % 2 === 0 ? ['verify'] : ['unpack', '--to', join(folder, 'cli.img')]
    const { status, stderrTail } = await run([osflash, ...verb, flipped, ...keyOptions], {
      statuses: [0, 1, 2, 3, 4, 5, 6, 7],
    })
    expect([4, 6], `${verb[0]}, bit ${flip.bit} of byte ${flip.byte}`).toContain(status)
    const errors = stderrTail.split('\n').filter((line) => line.startsWith('osflash: error: '))
    expect(errors).toHaveLength(1)
    expect(errors[0]).toMatch(PLACE)
  }
  expect(await readdir(folder)).not.toContain('cli.img')
})
