/**
 * The keys of the test bed, made once: real ones, by the commands that an operator uses.
 */
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../../src/system/run.ts'
import { cached, root } from './cache.ts'

export interface Keys {
  /** Of images. */
  readonly signerKey: string
  readonly signerCert: string
  readonly recipientKey: string
  readonly recipientCert: string
  /** Private key; its public one is in `login`.pub. */
  readonly login: string
  readonly loginPublic: string
  /** The folder with ssh_host_*_key of the first OS. */
  readonly host: string
  /** `ssh-ed25519 AAAA…` */
  readonly hostPublic: string
  /** A signer and a recipient that no image knows. */
  readonly strangerKey: string
  readonly strangerCert: string
}

export const osflash = join(root, 'bin/osflash')
const HOST_KEY_TYPES = ['ed25519', 'ecdsa', 'rsa'] as const

export async function testKeys(): Promise<Keys> {
  const folder = await cached({ name: 'keys', extension: 'd', key: '2' }, makeKeys)
  const at = (name: string): string => join(folder, name)
  const text = async (name: string): Promise<string> => (await readFile(at(name), 'utf8')).trim()
  const hostPublic = (await text('host/ssh_host_ed25519_key.pub')).split(' ').slice(0, 2).join(' ')
  return {
    signerKey: at('images/signer.key'),
    signerCert: at('images/signer.pub'),
    recipientKey: at('images/recipient.key'),
    recipientCert: at('images/recipient.pub'),
    login: at('login'),
    loginPublic: await text('login.pub'),
    host: at('host'),
    hostPublic,
    strangerKey: at('stranger/recipient.key'),
    strangerCert: at('stranger/signer.pub'),
  }
}

async function makeKeys(folder: string): Promise<void> {
  await mkdir(join(folder, 'host'), { recursive: true, mode: 0o700 })
  await run([osflash, 'keygen', '--out', join(folder, 'images'), '--name', 'osflash e2e'])
  await run([osflash, 'keygen', '--out', join(folder, 'stranger'), '--name', 'stranger'])
  const make = (type: string, file: string) =>
    run(['ssh-keygen', '-q', '-t', type, '-N', '', '-C', 'e2e', '-f', join(folder, file)])
  await make('ed25519', 'login')
  for (const type of HOST_KEY_TYPES) await make(type, `host/ssh_host_${type}_key`)
}
