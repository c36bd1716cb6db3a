/**
 * Ctrl-C at random moments: status 130, nothing under the final name, no process left.
 *
 * 1. `unpack`, `rewrap` and `pack` through the program, in a process group of their own.
 * 2. Moments are drawn by a seeded generator, from the start of the program to about its end; a
 *    run that was quicker must have ended well.
 */
import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { generateKeys } from '../../src/encrypt/keys.ts'
import { errnoOf } from '../../src/errors.ts'
import { MIB } from '../../src/units.ts'
import { pairOf } from '../encrypt/key-ring.ts'
import { noise } from '../pack/image/fixtures.ts'
import { gptLayout, packDisk } from '../unpack/disk-fixtures.ts'
import { randomFrom } from './random.ts'

const SEED = Number(process.env.OSFLASH_TEST_SEED ?? 20_260_103)
const RUNS = 8

let folder = ''
let image = ''
const file = (name: string): string => join(folder, name)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'osflash-interrupt-'))
  const texts = await generateKeys()
  await writeFile(file('signer.pub'), texts.signerCert)
  await writeFile(file('recipient.key'), texts.recipientKey)
  await writeFile(file('signer.key'), texts.signerKey, { mode: 0o600 })
  await writeFile(file('recipient.pub'), texts.recipientCert)
  const other = await generateKeys()
  await writeFile(file('other.pub'), other.recipientCert)
  const { key: signer, cert: signerCert } = await pairOf(texts.signerKey)
  const { key: recipient, cert: recipientCert } = await pairOf(texts.recipientKey)
  const keys = { signer, signerCert, recipient, recipientCert }
  const piece = noise(4 * MIB, 1)
  const regions = [
    { name: 'root', offset: 4 * MIB, raw: Buffer.concat(Array.from({ length: 40 }, () => piece)) },
  ]
  await mkdir(file('tree'))
  await writeFile(file('tree/large'), noise(64 * MIB, 2))
  image = await packDisk({ folder, regions, disk: gptLayout(256 * MIB) }, keys)
})
afterAll(() => rm(folder, { recursive: true, force: true }))

interface Ended {
  readonly status: number | null
  readonly stderr: string
  readonly alive: boolean
}

/** Runs the program in a group of its own; SIGINT to the whole group after `afterMs`. */
function interrupted(args: readonly string[], afterMs: number): Promise<Ended> {
  const main = join(import.meta.dirname, '../../src/cli/main.ts')
  const child = spawn(process.execPath, [main, ...args], {
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const group = -(child.pid ?? 0)
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  const timer = setTimeout(() => process.kill(group, 'SIGINT'), afterMs)
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status) => {
      clearTimeout(timer)
      resolve({ status, stderr, alive: isAlive(group) })
    })
  })
}

function isAlive(group: number): boolean {
  try {
    process.kill(group, 0)
    return true
  } catch (error) {
    if (errnoOf(error) === 'ESRCH') return false
    throw error
  }
}

/** About when the program listens; before that a signal simply ends it, and status is null. */
const LISTENING_MS = 500

it(`unpack: status 130, no target, seed ${SEED}`, async () => {
  const random = randomFrom(SEED)
  const keys = ['--trust', file('signer.pub'), '--identity', file('recipient.key')]
  let stopped = 0
  for (let run = 0; run < RUNS; run += 1) {
    const to = file(`disk-${run}.img`)
    const args = ['unpack', image, '--to', to, '--verify', ...keys]
    const { status, stderr, alive } = await interrupted(args, LISTENING_MS + random(1_000))
    expect(alive, `run ${run}`).toBe(false)
    expect([0, 130, null], `run ${run}: ${stderr}`).toContain(status)
    if (status === 130) stopped += 1
    if (status === 130) expect(stderr).toMatch(/^osflash: error: cancelled$/m)
    const complete = await stat(to).then(
      () => true,
      () => false,
    )
    expect(complete, `run ${run}`).toBe(status === 0)
    await rm(to, { force: true })
    await rm(`${to}.partial`, { force: true })
  }
  expect(stopped).toBeGreaterThan(0)
})

it(`rewrap: the image is the old or the new one, seed ${SEED}`, async () => {
  const random = randomFrom(SEED + 1)
  for (let run = 0; run < RUNS / 2; run += 1) {
    const output = file('rewrapped.osimg')
    const keys = ['--add', file('other.pub'), '--identity', file('recipient.key')]
    const args = ['rewrap', image, ...keys, '-o', output]
    const { status, stderr, alive } = await interrupted(args, LISTENING_MS + random(600))
    expect(alive).toBe(false)
    expect([0, 130, null], stderr).toContain(status)
    const left = (await readdir(folder)).filter((name) => name.startsWith('rewrapped'))
    expect(left).toEqual(status === 0 ? ['rewrapped.osimg'] : [])
    await rm(output, { force: true })
  }
})

it(`pack: no image and no scratch, seed ${SEED}`, async () => {
  const random = randomFrom(SEED + 2)
  const before = (await readdir(folder)).sort()
  for (let run = 0; run < RUNS / 2; run += 1) {
    const output = file('packed.osimg')
    const keys = ['--recipient', file('recipient.pub'), '--sign-with', file('signer.key')]
    const args = ['pack', file('tree'), '-o', output, ...keys]
    const { status, stderr, alive } = await interrupted(args, LISTENING_MS + random(1_000))
    expect(alive).toBe(false)
    expect([0, 130, null], stderr).toContain(status)
    if (status === 0) await rm(output)
    expect((await readdir(folder)).sort()).toEqual(before)
  }
})
