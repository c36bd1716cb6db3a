import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { makeScratch } from '../../src/system/scratch.ts'
import { readVectors, vectorPath } from '../vectors/vectors.ts'
import { play, steady } from './play.ts'

const inspect = (name: string) => play(['inspect', vectorPath(name)])
const inspectJson = async (name: string) => {
  const ended = await play(['--json', 'inspect', vectorPath(name)])
  expect(ended).toMatchObject({ status: 0, stderr: '' })
  return JSON.parse(ended.stdout)
}

test('a disk, as text', async () => {
  const { status, stdout, stderr } = await inspect('ok-zstd-ocb')
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(steady(stdout)).toMatchInlineSnapshot(`
    "DIR/ok-zstd-ocb.osimg: vector, sequence 1, made 2023-11-14T22:13:20Z
      size       20.0 KiB
      system     linux, x86_64
      sealed     AES-256 OCB
      recipient  …9661
      signer     …568B (not checked)
      disk       none, from 64.0 KiB, sectors of 512 bytes
      payload    root: 19.7 KiB in 4 frames, 2 segments
        data 11.7 KiB, zero 8.00 KiB, unused 0 B
        packed 12.0 KiB (zstd, 0.98 : 1)
        index e51b48fac0c4cde099c1908c2f746692b9869c1d94214b487d4702417f770da0
    "
  `)
})

test('a tree, as text: one frame is singular', async () => {
  const { stdout } = await inspect('ok-tree')
  expect(steady(stdout)).toMatchInlineSnapshot(`
    "DIR/ok-tree.osimg: vector, sequence 1, made 2023-11-14T22:13:20Z
      size       10.0 KiB
      system     linux, x86_64
      sealed     AES-256 OCB
      recipient  …9661
      signer     …568B (not checked)
      payload    root: 10.0 KiB in 1 frame, 1 segment
        data 10.0 KiB, zero 0 B, unused 0 B
        packed 272 B (zstd, 37.65 : 1)
        index b8d842cb1009d396b228e70c131c321f671f9b603d636e6e155e4b694ff91e46
    "
  `)
})

test('an empty image, as text', async () => {
  const { stdout } = await inspect('ok-empty')
  expect(steady(stdout)).toMatchInlineSnapshot(`
    "DIR/ok-empty.osimg: vector, sequence 1, made 2023-11-14T22:13:20Z
      size       10.0 KiB
      system     linux, x86_64
      sealed     AES-256 OCB
      recipient  …9661
      signer     …568B (not checked)
      disk       none, from 64.0 KiB, sectors of 512 bytes
      payload    root: 16.0 KiB in 0 frames, 0 segments
        data 0 B, zero 8.00 KiB, unused 8.00 KiB
        packed 0 B (zstd, 0.00 : 1)
        index db6e8b9ac915842c24c0bd0f291bdd10371afad36e97e4603786840890127a39
    "
  `)
})

test('two recipients and two signers are a line each', async () => {
  const recipients = (await inspect('ok-two-recipients')).stdout
  expect(recipients.match(/^ {2}recipient {2}[0-9A-F]{40,64}$/gm)).toHaveLength(2)
  const signers = (await inspect('ok-two-signers')).stdout
  expect(signers.match(/^ {2}signer {5}[0-9A-F]{64} \(not checked\)$/gm)).toHaveLength(2)
})

test('the codec and the mode are named', async () => {
  expect((await inspect('ok-xz')).stdout).toMatch(/\(xz, /)
  expect((await inspect('ok-zstd-gcm')).stdout).toContain('AES-256 GCM\n')
})

test('a disk, as JSON', async () => {
  const { path, ...facts } = await inspectJson('ok-zstd-ocb')
  expect(path).toBe(vectorPath('ok-zstd-ocb'))
  expect({ ...facts, signers: facts.signers.length }).toMatchInlineSnapshot(`
    {
      "imageBytes": 20480,
      "manifest": {
        "architecture": "x86_64",
        "created": "2023-11-14T22:13:20Z",
        "disk": {
          "minimumBytes": 65536,
          "partitions": [],
          "sectorBytes": 512,
          "table": {
            "kind": "none",
          },
        },
        "encryption": {
          "aead": "ocb",
          "chunkOctet": 6,
          "cipher": "aes256",
        },
        "firmware": [],
        "format": "osflash-image/1",
        "name": "vector",
        "os": {
          "family": "linux",
        },
        "sequence": 1,
      },
      "payloads": [
        {
          "codec": "zstd",
          "dataBytes": 12000,
          "frames": 4,
          "indexDigest": "e51b48fac0c4cde099c1908c2f746692b9869c1d94214b487d4702417f770da0",
          "kind": "region",
          "name": "root",
          "packedBytes": 12244,
          "ratio": 0.9800718719372754,
          "rawBytes": 20192,
          "segments": 2,
          "unusedBytes": 0,
          "zeroBytes": 8192,
        },
      ],
      "recipients": [
        {
          "name": "9F8DD068D6B96FEF08457241A34DDCE2FFC6BBA6C5E97C394EB61B2265E99661",
          "version": 6,
        },
      ],
      "signers": 1,
    }
  `)
})

test('times have no milliseconds', async () => {
  const { manifest, signers } = await inspectJson('ok-two-signers')
  const times = [manifest.created, ...signers.map((one: { created: string }) => one.created)]
  expect(times).toHaveLength(3)
  for (const time of times) expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
})

test('JSON is one line, and has the same facts as the text', async () => {
  const { stdout } = await play(['inspect', '--json', vectorPath('ok-zstd-gcm')])
  expect(stdout).toMatch(/^\{[^\n]*\}\n$/)
  const [payload] = JSON.parse(stdout).payloads
  const text = (await inspect('ok-zstd-gcm')).stdout
  expect(text).toContain(`index ${payload.indexDigest}\n`)
  expect(text).toContain(`in ${payload.frames} frames, ${payload.segments} segments`)
})

const readable = readVectors().filter(({ expect: wanted }) => wanted === 'ok')
test.each(readable.map(({ name }) => name))('needs no key: %s', async (name) => {
  const { payloads } = await inspectJson(name)
  for (const payload of payloads) {
    const { rawBytes, dataBytes, zeroBytes, unusedBytes } = payload
    expect(dataBytes + zeroBytes + unusedBytes).toBe(rawBytes)
  }
})

test.each(['signer-unpinned', 'recipient-unknown', 'stranger-segment'])(
  'describes what it does not believe: %s',
  async (name) => {
    expect(await inspect(name)).toMatchObject({ status: 0, stderr: '' })
  },
)

test.each(['truncated', 'manifest-version', 'two-manifests', 'member-twice', 'index-gap'])(
  'a broken structure is one line, a status and no half description: %s',
  async (name) => {
    const ended = await inspect(name)
    expect(ended).toMatchObject({ status: 6, stdout: '' })
    expect(ended.stderr).toMatch(/^osflash: error: [^\n]+\n(hint: [^\n]+\n)*$/)
  },
)

test('what is no image is named as such', async () => {
  const scratch = await makeScratch('inspect')
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  for (const text of ['', 'text', 'x'.repeat(5_000)]) {
    const path = join(scratch.path, 'odd')
    await writeFile(path, text)
    const ended = await play(['inspect', path])
    expect(ended).toMatchObject({ status: 6, stdout: '' })
  }
})

test('an image that is not there is named', async () => {
  expect(await play(['inspect', '/nonexistent/a.osimg'])).toEqual({
    status: 6,
    stdout: '',
    stderr: 'osflash: error: opening /nonexistent/a.osimg: no such file or directory\n',
  })
})
