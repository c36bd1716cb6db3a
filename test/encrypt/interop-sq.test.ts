import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fingerprintOf } from '../../src/encrypt/keys.ts'
import {
  decryptSessionKey,
  encryptSessionKey,
  generateSessionKey,
} from '../../src/encrypt/session-key.ts'
import { signDetached, verifyDetached } from '../../src/encrypt/signature.ts'
import { run } from '../../src/system/run.ts'
import { makeScratch, type Scratch } from '../../src/system/scratch.ts'
import { answers } from './installed.ts'
import { type KeyPair, pairOf } from './key-ring.ts'

const bytes = Buffer.from('{"format":"osflash-image/1"}')

/** Debian 12 has sq 0.27, Debian 13 has sq 1.3; hardly an option kept its name. */
const DIALECTS = {
  old: {
    generate: ['key', 'generate', '--userid', 'old', '--export', 'KEY'],
    sign: ['sign', '--detached', '--binary', '--signer-key', 'KEY', '--output', 'SIG', 'DATA'],
    verify: ['verify', '--signer-cert', 'KEY', '--detached', 'OUR', 'DATA'],
  },
  new: {
    generate: [
      // OpenPGP.js reads no version 4 key without a user ID.
      ...['key', 'generate', '--own-key', '--name', 'new', '--without-password'],
      ...['--output', 'KEY', '--rev-cert', 'REV'],
    ],
    sign: ['sign', '--signer-file', 'KEY', '--signature-file', 'SIG', 'DATA'],
    verify: ['verify', '--signer-file', 'KEY', '--signature-file', 'OUR', 'DATA'],
  },
} as const

const installed = await answers(['sq', '--help'])
const dialect = (await answers(['sq', 'version'])) ? DIALECTS.new : DIALECTS.old

describe.skipIf(!installed)(installed ? 'sq' : 'sq: not installed', () => {
  let folder: Scratch
  let pair: KeyPair

  const sq = (args: readonly string[]) =>
    run(['sq', ...args], { cwd: folder.path, env: { HOME: folder.path } })

  beforeAll(async () => {
    folder = await makeScratch('sq')
    await writeFile(join(folder.path, 'DATA'), bytes)
    await sq(dialect.generate)
    pair = await pairOf(await readFile(join(folder.path, 'KEY')))
  })

  afterAll(() => folder?.[Symbol.asyncDispose]())

  test('its signature counts, ours holds there', async () => {
    await sq(dialect.sign)
    const signatures = await dearmored(join(folder.path, 'SIG'))
    const { signers } = await verifyDetached({ bytes, signatures, trusted: [pair.cert] })
    expect(signers[0]?.primaryFingerprint).toBe(fingerprintOf(pair.cert))
    await writeFile(join(folder.path, 'OUR'), await signDetached(bytes, [pair.key]))
    await sq(dialect.verify)
  })

  test('its key finds the session key', async () => {
    const sessionKey = generateSessionKey()
    const keysPgp = await encryptSessionKey(sessionKey, [pair.cert])
    expect(Buffer.compare(await decryptSessionKey(keysPgp, [pair.key]), sessionKey)).toBe(0)
  })
})

/** sq 1 always writes armor here; the member holds binary packets. */
async function dearmored(path: string): Promise<Uint8Array> {
  const content = await readFile(path)
  if ((content[0] ?? 0) >= 0x80) return content
  const lines = content.toString().split('\n')
  const body = lines.slice(lines.indexOf('') + 1).filter((line) => !/^(=|-----)/.test(line))
  return Buffer.from(body.join(''), 'base64')
}
