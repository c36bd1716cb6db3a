/**
 * `osflash unpack` killed ten times at random, then resumed: the same bytes, little done twice.
 *
 * 1. An image of 4 GiB with 2.5 GiB of data (that compresses well: the test is about writing).
 * 2. Each run is killed when it has written a random number of frames, on a slow machine as on a
 *    fast one; the seed is in the failure. It may be killed at once, and after two checkpoints.
 * 3. Progress events say how far a run was when it was killed, the checkpoint from where the
 *    next one goes on: the difference is what is written twice.
 */
import { spawn } from 'node:child_process'
import { mkdtemp, open, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { generateKeys } from '../../src/encrypt/keys.ts'
import { packImage } from '../../src/pack/image/pack.ts'
import { run } from '../../src/system/run.ts'
import { GIB, MIB } from '../../src/units.ts'
import { CHECKPOINT_MOST_BYTES } from '../../src/unpack/saver.ts'
import { pairOf } from '../encrypt/key-ring.ts'
import { makeOptions, noise, range } from '../pack/image/fixtures.ts'
import { gptLayout, makeDiskSource } from '../unpack/disk-fixtures.ts'
import { randomFrom } from './random.ts'

const KILLS = 10
const SEED = Number(process.env.OSFLASH_TEST_SEED ?? 20_260_102)
const FRAME = 4 * MIB
const DATA_FRAMES = 640
const KILL_MOST_FRAMES = 80
const WORKERS = 2
/** One for each worker, and six writes in flight. */
const RAW_SLOTS = WORKERS + 6
const ROOT_OFFSET = 4 * MIB

let folder = ''
let image = ''
const file = (name: string): string => join(folder, name)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'osflash-kill-'))
  const texts = await generateKeys()
  await writeFile(file('signer.pub'), texts.signerCert)
  await writeFile(file('recipient.key'), texts.recipientKey)
  const { key: signer, cert: signerCert } = await pairOf(texts.signerKey)
  const { key: recipient, cert: recipientCert } = await pairOf(texts.recipientKey)
  const regions = [{ name: 'root', offset: ROOT_OFFSET, raw: new Uint8Array(0) }]
  const source = await makeDiskSource({ folder, regions, disk: gptLayout(4 * GIB) })
  const bytes = 4 * GIB - 2 * ROOT_OFFSET
  await makeRaw(file('root.raw'), bytes)
  image = file('a.osimg')
  const keys = { signer, signerCert, recipient, recipientCert }
  const payloads = source.payloads.map((one) => ({
    ...one,
    range: range(0, bytes),
  }))
  await packImage({ ...source, payloads }, makeOptions(keys, image))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** Runs of 16 frames of data with holes between; every frame is another one. */
async function makeRaw(path: string, bytes: number): Promise<void> {
  await using raw = await open(path, 'w')
  await raw.truncate(bytes)
  const grain = noise(64 * 1024, 5)
  const piece = Buffer.concat(Array.from({ length: FRAME / grain.length }, () => grain))
  for (let n = 0; n < DATA_FRAMES; n += 1) {
    piece.writeUInt32LE(n, 100)
    const place = (n + 8 * Math.floor(n / 16)) * FRAME
    await raw.write(piece, 0, piece.length, place)
  }
}

interface Killed {
  /** Bytes that the last event said were written; with those of earlier runs. */
  readonly done: number
  readonly killed: boolean
}

/** Runs unpack; kills it when it has written so many frames. */
function unpackAndKill(options: readonly string[], frames: number | undefined): Promise<Killed> {
  const main = join(import.meta.dirname, '../../src/cli/main.ts')
  const keys = ['--trust', file('signer.pub'), '--identity', file('recipient.key')]
  const target = ['--to', file('disk.img'), '--json', '--workers', String(WORKERS)]
  const child = spawn(process.execPath, [main, 'unpack', image, ...target, ...keys, ...options])
  let done = 0
  let first: number | undefined
  let error = ''
  createInterface({ input: child.stderr }).on('line', (line) => {
    const event = JSON.parse(line)
    if (event.event === 'error') error = line
    if (event.phase !== 'writing' || event.event !== 'progress') return
    done = event.done
    first ??= done
    if (frames !== undefined && done - first >= frames * FRAME) child.kill('SIGKILL')
  })
  child.stdout.resume()
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status, signal) => {
      if (status === 0 || signal === 'SIGKILL') resolve({ done, killed: signal === 'SIGKILL' })
      else reject(new Error(`unpack ended with ${status ?? signal}: ${error}`))
    })
  })
}

async function framesOfCheckpoint(): Promise<number> {
  const text = await readFile(file('disk.img.checkpoint'), 'utf8').catch(() => '{"frames":0}')
  return JSON.parse(text).frames
}

it(`ends in the same bytes after ${KILLS} kills, having written little twice`, async () => {
  const random = randomFrom(SEED)
  const twice: number[] = []
  let kills = 0
  while (kills < KILLS) {
    const options = kills === 0 ? [] : ['--resume']
    const { done, killed } = await unpackAndKill(options, random(KILL_MOST_FRAMES))
    expect(killed, `run ${kills} of seed ${SEED} ended before it was killed`).toBe(true)
    kills += 1
    twice.push(Math.max(0, Math.ceil(done / FRAME) - (await framesOfCheckpoint())))
  }
  // Since the checkpoint before the one being flushed: twice what a checkpoint covers and what
  // then waits in slots, and as much again that may lie behind one slow frame.
  const perKill = (2 * CHECKPOINT_MOST_BYTES) / FRAME + 3 * RAW_SLOTS
  expect(Math.max(...twice), `frames written twice, seed ${SEED}: ${twice}`).toBeLessThanOrEqual(
    perKill,
  )
  expect(await framesOfCheckpoint(), `seed ${SEED}`).toBeGreaterThan(0)
  const last = await unpackAndKill(['--resume', '--verify'], undefined)
  expect(last.done).toBe(DATA_FRAMES * FRAME)
  const root = [
    '--ignore-initial',
    `${ROOT_OFFSET}:0`,
    '--bytes',
    String(4 * GIB - 2 * ROOT_OFFSET),
  ]
  await run(['cmp', ...root, file('disk.img'), file('root.raw')])
  expect((await run(['sgdisk', '-v', file('disk.img')])).stdout).toContain('No problems found')
  expect((await stat(file('disk.img'))).size).toBe(4 * GIB)
  await expect(stat(file('disk.img.checkpoint'))).rejects.toThrow(/ENOENT/)
  await expect(stat(file('disk.img.partial'))).rejects.toThrow(/ENOENT/)
})
