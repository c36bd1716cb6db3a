/**
 * Who a system is over SSH, and who may enter it as root: read from its files.
 *
 * 1. `sshd -T` of that system (in a chroot where it does not run) names host keys, certificates
 *    and the files with root's keys; where it cannot be asked, the usual places count, and that
 *    is said.
 * 2. Each private host key gives its own public half (`ssh-keygen -y`), whatever its .pub says.
 * 3. Keys get the names that sshd looks for by itself: `ssh_host_TYPE_key`.
 *
 * Changes nothing.
 */
import { createHash } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { messageOf, OsflashError, throwIfCancelled } from '../../errors.ts'
import { insideRoot, readInside } from '../../system/inside-root.ts'
import { run } from '../../system/run.ts'
import {
  readSshdSettings,
  rootKeyFile,
  type SshdSettings,
  USUAL_KEY_FILES,
  USUAL_PORT,
} from './sshd-settings.ts'

/** A file below /etc/ssh. */
export interface SshFile {
  readonly name: string
  readonly bytes: Uint8Array
}

interface HostKey {
  /** `rsa`, `ecdsa`, `ed25519`. */
  readonly type: string
  /** `SHA256:…`, as ssh-keygen prints it. */
  readonly fingerprint: string
  readonly privateKey: Uint8Array
  readonly publicLine: string
}

export interface SystemRoot {
  /** `/`, or where another system is mounted. */
  readonly root: string
  readonly signal?: AbortSignal | undefined
}

const ROOT_CONNECTION = 'user=root,host=localhost,addr=127.0.0.1'
const KEY_FOLDER = '/etc/ssh'
const KEY_TYPES = ['rsa', 'ecdsa', 'ed25519']

/**
 * What the system's sshd is set to, for root.
 * @throws OsflashError `process` when sshd says no, `missing-tool` when there is none
 */
export async function askSshd({ root, signal }: SystemRoot): Promise<SshdSettings> {
  const question = ['/usr/sbin/sshd', '-T', '-C', ROOT_CONNECTION] as const
  const { stdout } = await (root === '/'
    ? run(question, { signal })
    : run(['chroot', root, ...question], { signal }))
  return readSshdSettings(stdout, await rootHome(root))
}

/** As `askSshd`, or the usual places where sshd cannot be asked: then `why` says so. */
export async function sshdOrUsual(
  system: SystemRoot,
): Promise<{ settings: SshdSettings; why?: string }> {
  try {
    return { settings: await askSshd(system) }
  } catch (cause) {
    throwIfCancelled(system.signal)
    const why = messageOf(cause)
    return { settings: await usualSettings(system.root), why }
  }
}

async function usualSettings(root: string): Promise<SshdSettings> {
  const home = await rootHome(root)
  return {
    ports: [USUAL_PORT],
    hostKeys: await usualHostKeys(root),
    hostCertificates: [],
    rootKeyFiles: USUAL_KEY_FILES.map((name) => rootKeyFile(name, home)),
    permitRootLogin: 'prohibit-password',
    pubkeyAuthentication: true,
    passwordAuthentication: false,
  }
}

async function usualHostKeys(root: string): Promise<string[]> {
  const names = await readdir(await insideRoot(root, KEY_FOLDER)).catch((): string[] => [])
  const keys = names.filter((name) => /^ssh_host_.+_key$/.test(name)).sort()
  return keys.map((name) => `${KEY_FOLDER}/${name}`)
}

/** Root's home folder as /etc/passwd has it. */
export async function rootHome(root: string): Promise<string> {
  const passwd = (await readInside(root, '/etc/passwd'))?.toString() ?? ''
  const line = passwd.split('\n').find((one) => one.startsWith('root:'))
  const home = line?.split(':')[5]
  return home === undefined || home === '' ? '/root' : home
}

/**
 * The host keys behind these paths; those that are not there are left out, as sshd does.
 * @throws OsflashError `refused` for a key that cannot be read, such as one with a passphrase
 */
export async function readHostKeys(
  { root, signal }: SystemRoot,
  paths: readonly string[],
): Promise<HostKey[]> {
  const keys: HostKey[] = []
  for (const path of paths) {
    const privateKey = await readInside(root, path)
    if (privateKey === undefined) continue
    const publicLine = await publicHalf(await insideRoot(root, path), signal)
    const fingerprint = fingerprintOf(publicLine)
    if (keys.some((key) => key.fingerprint === fingerprint)) continue
    keys.push({ type: typeOf(publicLine), fingerprint, privateKey, publicLine })
  }
  return keys
}

async function publicHalf(path: string, signal: AbortSignal | undefined): Promise<string> {
  try {
    // An empty passphrase given: ssh-keygen must not ask for one.
    return (await run(['ssh-keygen', '-y', '-P', '', '-f', path], { signal })).stdout.trim()
  } catch (cause) {
    if (!(cause instanceof OsflashError) || cause.code !== 'process') throw cause
    throw new OsflashError('refused', `carrying the SSH host key ${path}: it cannot be read`, {
      cause,
      hints: [`ssh-keygen -y -f ${path}`],
    })
  }
}

/** SHA-256 of the blob of a public key, as ssh-keygen -l prints it. */
function fingerprintOf(publicLine: string): string {
  const blob = Buffer.from(publicLine.split(' ')[1] ?? '', 'base64')
  const digest = createHash('sha256').update(blob).digest('base64')
  return `SHA256:${digest.replace(/=+$/, '')}`
}

/** `ssh-ed25519` and `ssh-ed25519-cert-v01@openssh.com` are of type `ed25519`. */
function typeOf(publicLine: string): string {
  const word = publicLine.split(' ')[0] ?? ''
  if (word.startsWith('ecdsa-')) return 'ecdsa'
  return word.replace(/^ssh-/, '').replace(/-cert-v\d+@.*$/, '')
}

/** What sshd looks for by itself: one key of each type that it still knows. */
export function firstOfEachType(keys: readonly HostKey[]): HostKey[] {
  return KEY_TYPES.flatMap((type) => keys.find((key) => key.type === type) ?? [])
}

/**
 * The files for /etc/ssh: keys, their public halves, and the certificates that fit.
 * @param keys one of each type
 * @param certificates texts of certificate files
 */
export function sshFiles(keys: readonly HostKey[], certificates: readonly string[]): SshFile[] {
  return keys.flatMap(({ type, privateKey, publicLine }) => {
    const name = `ssh_host_${type}_key`
    const own = certificates.find((text) => typeOf(text.trim()) === type)
    return [
      { name, bytes: privateKey },
      { name: `${name}.pub`, bytes: Buffer.from(`${publicLine}\n`) },
      ...(own === undefined ? [] : [{ name: `${name}-cert.pub`, bytes: Buffer.from(own) }]),
    ]
  })
}
