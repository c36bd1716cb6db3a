import { expect, test } from 'vitest'
import { type ErrorCode, exitStatus, OsflashError } from '../../src/errors.ts'
import { readVectors, vectorKey, vectorPath } from '../vectors/vectors.ts'
import { OPEN, play, steady, TRUST } from './play.ts'

const verify = (name: string, ...options: string[]) =>
  play(['verify', vectorPath(name), ...options])

test('without an identity: signatures and digests', async () => {
  const { status, stdout, stderr } = await verify('ok-zstd-ocb', ...TRUST)
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(steady(stdout)).toMatchInlineSnapshot(`
    "DIR/ok-zstd-ocb.osimg: whole, 12.0 KiB packed, 4 blocks; signed by …568B
    "
  `)
})

test('with an identity every frame is opened', async () => {
  expect(steady((await verify('ok-zstd-ocb', ...OPEN)).stdout)).toMatchInlineSnapshot(`
    "DIR/ok-zstd-ocb.osimg: whole, 12.0 KiB packed, 4 blocks, 4 frames opened; signed by …568B
    "
  `)
  expect((await verify('ok-tree', ...OPEN)).stdout).toContain(', 1 frame opened;')
})

test('an image that nobody checked says so', async () => {
  const ended = await verify('signer-unpinned', '--insecure-unsigned')
  expect(ended.status).toBe(0)
  expect(ended.stdout).toMatch(/; signature not checked\n$/)
})

test('the report as JSON', async () => {
  const { stdout } = await verify('ok-two-signers', '--json', ...OPEN)
  const { path, signers, ...report } = JSON.parse(stdout)
  expect(path).toBe(vectorPath('ok-two-signers'))
  expect(signers).toEqual([expect.stringMatching(/^[0-9A-F]{64}$/)])
  expect(report).toMatchInlineSnapshot(`
    {
      "blocks": 4,
      "frames": 4,
      "ok": true,
      "packedBytes": 12244,
      "rawBytes": 12000,
    }
  `)
})

const statusOf = (expected: string): number => {
  const codes: readonly ErrorCode[] = ['signature', 'digest', 'format', 'decryption', 'io']
  const code = codes.find((one) => one === expected)
  return code === undefined ? 0 : exitStatus(new OsflashError(code, 'x'))
}

test.each(readVectors().map(({ name, expect: wanted }) => [name, wanted] as const))(
  '%s gives %s, in one line that a machine can read',
  async (name, wanted) => {
    const ended = await verify(name, '--json', ...OPEN)
    expect(ended.status, ended.stderr).toBe(statusOf(wanted))
    if (wanted === 'ok') {
      expect(JSON.parse(ended.stdout)).toMatchObject({ ok: true })
      return
    }
    expect(ended.stdout).toBe('')
    const [error, ...more] = ended.stderr
      .split('\n')
      .filter((line) => line.startsWith('{"event":"error"'))
    expect(more).toEqual([])
    expect(JSON.parse(error ?? '')).toMatchObject({ event: 'error', code: wanted })
  },
)

test('a wrong key says who could open it', async () => {
  const other = ['--identity', vectorKey('other.key')]
  const ended = await verify('ok-zstd-ocb', ...TRUST, ...other)
  expect(ended.status).toBe(4)
  expect(steady(ended.stderr)).toMatchInlineSnapshot(`
    "osflash: error: decrypting keys.pgp: no secret key given fits
    hint: recipient of the image: …9661 (PKESK version 6, version 6 key)
    "
  `)
})

test('an unpinned signer is named, and what to do', async () => {
  const ended = await verify('signer-unpinned', ...TRUST)
  expect(ended.status).toBe(4)
  const [error, hint, ...more] = steady(ended.stderr).split('\n')
  expect(error).toMatch(/ 0 of 1 count \(signature by .*: no pinned certificate has this key\)$/)
  expect(hint).toBe('hint: osflash inspect IMAGE lists who signed; --trust CERT pins a signer')
  expect(more).toEqual([''])
})

test('a run that was cancelled says nothing else', async () => {
  const argv = ['verify', vectorPath('ok-zstd-ocb'), ...OPEN]
  expect(await play(argv, { signal: AbortSignal.abort() })).toEqual({
    status: 130,
    stdout: '',
    stderr: 'osflash: error: cancelled\n',
  })
})
