/**
 * Reads the carry from the running first OS, and keeps it in the carry folder of the store.
 *
 * 1. Network (capture-network.ts) and hostname: what is static.
 * 2. SSH: host keys and certificates, root's authorized keys as sshd reads them, root's hash.
 * 3. `notes` are lines for the plan: what is different from what an operator may expect.
 * 4. `writeCarry` makes the folder 0700 with files 0600, each durable; `readCarry` checks it.
 *
 * Reads only; `writeCarry` writes to the folder given. Not carried: users other than root.
 */

import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { hostname as kernelHostname } from 'node:os'
import { dirname, join } from 'node:path'
import * as z from 'zod/mini'
import { errnoOf, ioError, OsflashError } from '../../errors.ts'
import { readInside } from '../../system/inside-root.ts'
import { syncFolder } from '../../system/sync-folder.ts'
import { writeFileSafely } from '../durable-file.ts'
import { keyLines, mergeKeys, opensShell } from './authorized-keys.ts'
import { type CaptureInput, captureNetwork } from './capture-network.ts'
import { CARRY_FILES, type Carry, type CarryInterface, carrySchema } from './model.ts'
import { hasPassword, shadowLine } from './shadow.ts'
import {
  firstOfEachType,
  readHostKeys,
  rootHome,
  type SshFile,
  type SystemRoot,
  sshdOrUsual,
  sshFiles,
} from './ssh-identity.ts'
import { type SshdSettings, USUAL_PORT } from './sshd-settings.ts'

/** What is secret, or too long for carry.json. */
interface CarryFiles {
  /** Files for /etc/ssh. */
  readonly ssh: readonly SshFile[]
  /** Lines for root's authorized_keys. */
  readonly rootKeys: string
  /** Root's line of /etc/shadow, when there is a password. */
  readonly rootShadow?: string
}

export interface CapturedCarry {
  readonly carry: Carry
  readonly files: CarryFiles
  /** For the plan: what could not be asked, or will be different. */
  readonly notes: readonly string[]
}

const FOLDER_MODE = 0o700
const FILE_MODE = 0o600

/**
 * The carry of this host.
 * @throws OsflashError `refused` naming what cannot be carried; `process`, `missing-tool`, `io`
 */
export async function captureCarry(input: CaptureInput = {}): Promise<CapturedCarry> {
  const system: SystemRoot = { root: input.root ?? '/', signal: input.signal }
  const network = await captureNetwork(input)
  const { settings, why } = await sshdOrUsual(system)
  const hostKeys = await readHostKeys(system, settings.hostKeys)
  if (hostKeys.length === 0) {
    throw new OsflashError('refused', 'carrying the SSH host keys: this host has none', {
      hints: ['ssh-keygen -A'],
    })
  }
  const certificates = await readAll(system.root, settings.hostCertificates)
  const rootKeys = (await readAll(system.root, settings.rootKeyFiles)).reduce(mergeKeys, '')
  const rootShadow = shadowLine((await textOf(system.root, '/etc/shadow')) ?? '', 'root')
  const hasRootPassword = rootShadow !== undefined && hasPassword(rootShadow)
  const carried = firstOfEachType(hostKeys)
  return {
    carry: {
      format: 'osflash-carry/1',
      hostname: await hostnameOf(system.root),
      ...network,
      hostKeys: carried.map(({ fingerprint }) => fingerprint),
      rootKeys: keyLines(rootKeys).filter(opensShell).length,
      hasRootPassword,
    },
    files: {
      ssh: sshFiles(carried, certificates),
      rootKeys,
      ...(hasRootPassword ? { rootShadow } : {}),
    },
    notes: [
      ...network.interfaces.flatMap(clientNotes),
      ...(hasNameServer(network) ? [] : ['no name server is known but the host itself']),
      ...(await notesOf({ system, settings, why, left: hostKeys.length - carried.length })),
    ],
  }
}

/** A server that knows a client by its identifier may give another address to another one. */
function clientNotes({ name, dhcp4, dhcp6, dhcp4ClientId = '' }: CarryInterface): string[] {
  const unknown4 = dhcp4 && dhcp4ClientId === ''
  const unknown6 = dhcp6 && !dhcp4ClientId.startsWith('ff')
  return [
    ...(unknown4 ? [`${name}: the DHCP client identifier is not known, the MAC will be sent`] : []),
    ...(unknown6 ? [`${name}: the DHCPv6 server will see a new client identifier`] : []),
  ]
}

const hasNameServer = ({ dnsServers, interfaces }: Pick<Carry, 'dnsServers' | 'interfaces'>) =>
  dnsServers.length > 0 || interfaces.some((one) => one.dnsServers.length > 0)

interface NoteFacts {
  readonly system: SystemRoot
  readonly settings: SshdSettings
  readonly why: string | undefined
  /** Host keys that are not carried. */
  readonly left: number
}

async function notesOf({ system, settings, why, left }: NoteFacts): Promise<string[]> {
  const home = await rootHome(system.root)
  const elsewhere = settings.rootKeyFiles.filter((file) => !file.startsWith(`${home}/`))
  const command = settings.authorizedKeysCommand
  const ports = settings.ports.join(' and ')
  return [
    ...(why === undefined ? [] : [`sshd could not be asked, its usual files were taken: ${why}`]),
    ...elsewhere.map((file) => `keys of ${file} will be in ${home}/.ssh/authorized_keys`),
    ...(command === undefined ? [] : [`keys that ${command} gives are not carried`]),
    ...(settings.permitRootLogin === 'no' ? ['root may not log in over SSH on this host'] : []),
    ...(settings.ports.includes(USUAL_PORT)
      ? []
      : [`sshd is on port ${ports}: rescue and target answer where their own sshd_config says`]),
    ...(left === 0 ? [] : [`${left} SSH host keys are not carried: DSA, or the second of a type`]),
  ]
}

async function hostnameOf(root: string): Promise<string> {
  const lines = ((await textOf(root, '/etc/hostname')) ?? '').split('\n').map((l) => l.trim())
  const name = lines.find((line) => line !== '' && !line.startsWith('#')) ?? kernelHostname()
  if (/^[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$/.test(name)) return name
  throw new OsflashError('refused', `carrying the hostname: ${JSON.stringify(name)} is none`, {
    hints: ['hostnamectl hostname NAME'],
  })
}

const textOf = async (root: string, path: string): Promise<string | undefined> =>
  (await readInside(root, path))?.toString()

async function readAll(root: string, paths: readonly string[]): Promise<string[]> {
  const texts: string[] = []
  for (const path of new Set(paths)) {
    const text = await textOf(root, path)
    if (text !== undefined) texts.push(text)
  }
  return texts
}

/**
 * Writes carry.json and its files; what an earlier try left is replaced.
 * @throws OsflashError `io`
 */
export async function writeCarry(
  folder: string,
  { carry, files }: Pick<CapturedCarry, 'carry' | 'files'>,
): Promise<void> {
  try {
    await rm(folder, { recursive: true, force: true })
    await mkdir(folder, FOLDER_MODE)
    await mkdir(join(folder, CARRY_FILES.ssh), FOLDER_MODE)
  } catch (cause) {
    throw ioError(`making the carry folder ${folder}`, cause)
  }
  const write = (name: string, bytes: Uint8Array | string) =>
    writeFileSafely(join(folder, name), bytes, FILE_MODE)
  for (const { name, bytes } of files.ssh) await write(join(CARRY_FILES.ssh, name), bytes)
  await write(CARRY_FILES.rootKeys, files.rootKeys)
  if (files.rootShadow !== undefined) await write(CARRY_FILES.rootShadow, `${files.rootShadow}\n`)
  // Last: a folder with carry.json is whole.
  await write(CARRY_FILES.carry, `${JSON.stringify(carry, undefined, 2)}\n`)
  await syncFolder(dirname(folder))
}

/**
 * Reads what `writeCarry` wrote.
 * @throws OsflashError `format` when it is no carry, `io` when it cannot be read
 */
export async function readCarry(folder: string): Promise<Pick<CapturedCarry, 'carry' | 'files'>> {
  try {
    const carry = z.parse(carrySchema, JSON.parse(await textAt(folder, CARRY_FILES.carry)))
    const names = (await readdir(join(folder, CARRY_FILES.ssh))).sort()
    const ssh = await Promise.all(
      names.map(async (name) => ({
        name,
        bytes: await readFile(join(folder, CARRY_FILES.ssh, name)),
      })),
    )
    const rootKeys = await textAt(folder, CARRY_FILES.rootKeys)
    if (!carry.hasRootPassword) return { carry, files: { ssh, rootKeys } }
    const rootShadow = (await textAt(folder, CARRY_FILES.rootShadow)).trimEnd()
    return { carry, files: { ssh, rootKeys, rootShadow } }
  } catch (cause) {
    if (errnoOf(cause) !== undefined) throw ioError(`reading the carry in ${folder}`, cause)
    throw new OsflashError('format', `reading the carry in ${folder}: not what was captured`, {
      cause,
    })
  }
}

const textAt = (folder: string, name: string): Promise<string> =>
  readFile(join(folder, name), 'utf8')
