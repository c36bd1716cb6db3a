/**
 * Gives another system, mounted below a folder, the carry: address, host keys, root's login.
 *
 * 1. Paths are looked up inside the root: no link of the image leads outside.
 * 2. Network files are rendered for the network service; what would win over them is moved aside
 *    (NAME.before-osflash), what stands behind them stays.
 * 3. resolv.conf is written where systemd-resolved does not make it.
 * 4. Host keys are replaced wholly; root's authorized keys are merged; root's hash goes into the
 *    shadow line of the same name, and nothing else of that file changes.
 * 5. Each file is old or new after a power cut; all of it can be done again.
 *
 * Not promised: that the services are enabled in the image; the trial shows that.
 */
import { chmod, chown, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoOf, ioError, OsflashError } from '../../errors.ts'
import { existsInside, insideRoot, readInside } from '../../system/inside-root.ts'
import { type FileInside, linkInside, removeInside, writeInside } from '../write-inside.ts'
import { mergeKeys } from './authorized-keys.ts'
import { type CapturedCarry, readCarry } from './capture.ts'
import { withHostname } from './hosts-file.ts'
import type { Carry } from './model.ts'
import { IFUPDOWN_FILE, renderIfupdown } from './render-ifupdown.ts'
import {
  NETWORKD_FOLDER,
  NETWORKD_PREFIX,
  OURS,
  type RenderedFile,
  renderNetworkd,
} from './render-networkd.ts'
import { mergeHash } from './shadow.ts'
import { rootHome } from './ssh-identity.ts'

const RENDERERS = { networkd: renderNetworkd, ifupdown: renderIfupdown } as const
type Network = keyof typeof RENDERERS

const ASIDE = '.before-osflash'
const PUBLIC_MODE = 0o644
const SECRET_MODE = 0o600
const FOLDER_MODE = 0o700

export interface CarryPlace {
  /** Where the other system's root is mounted, writable. */
  readonly root: string
  /** Its network service, as the image's manifest names it. */
  readonly network: string
  readonly carry: Carry
  /** What `writeCarry` wrote. */
  readonly folder: string
}

/** True when the carry can be written for this network service. */
export const canRender = (network: string): network is Network => Object.hasOwn(RENDERERS, network)

/** The network services that `canRender`, for messages. */
export const renderable = (): string[] => Object.keys(RENDERERS)

/**
 * Writes the carry into the root; may be called again.
 * @throws OsflashError `refused` for another network service, `format` or `io`
 */
export async function applyCarry({ root, network, carry, folder }: CarryPlace): Promise<void> {
  if (!canRender(network)) {
    throw new OsflashError('refused', `carrying the network: no files for ${network} yet`, {
      hints: [`os.network of the recipe may be: ${renderable().join(', ')}`],
    })
  }
  const { files } = await readCarry(folder)
  await applyNetwork({ root, network, files: RENDERERS[network](carry) })
  await applyResolver(root, carry)
  await applyHostname(root, carry.hostname)
  await applyHostKeys(root, files)
  await applyRootKeys(root, files.rootKeys)
  if (files.rootShadow !== undefined) await applyShadow(root, files.rootShadow)
}

interface NetworkFiles {
  readonly root: string
  readonly network: Network
  readonly files: readonly RenderedFile[]
}

async function applyNetwork({ root, network, files }: NetworkFiles): Promise<void> {
  if (network === 'ifupdown') await keepAside(root, IFUPDOWN_FILE)
  else await clearWay(root)
  for (const { path, text } of files) await writePlain(root, path, text)
}

/** Files of the image that sort before ours would win; our own of an earlier try go as well. */
async function clearWay(root: string): Promise<void> {
  for (const folder of [NETWORKD_FOLDER, '/usr/lib/systemd/network', '/lib/systemd/network']) {
    for (const name of await namesOf(root, folder)) {
      const ours = folder === NETWORKD_FOLDER && name.startsWith(NETWORKD_PREFIX)
      if (ours) await removeInside(root, join(folder, name))
      else if (!name.endsWith('.network') || name > NETWORKD_PREFIX) continue
      else if (folder === NETWORKD_FOLDER) await moveAside(root, join(folder, name))
      else await linkInside(root, join(NETWORKD_FOLDER, name), '/dev/null')
    }
  }
}

async function moveAside(root: string, path: string): Promise<void> {
  await keepAside(root, path)
  await removeInside(root, path)
}

/** The first copy stays, and our own file of an earlier try is not taken for the image's. */
async function keepAside(root: string, path: string): Promise<void> {
  const bytes = await readInside(root, path)
  const aside = `${path}${ASIDE}`
  if (bytes === undefined || bytes.includes(OURS)) return
  if (await existsInside(root, aside)) return
  await writeInside(root, { path: aside, bytes, mode: PUBLIC_MODE })
}

/**
 * A link into /run is made and filled by systemd-resolved; without that service nothing would be
 * there.
 */
async function applyResolver(root: string, carry: Carry): Promise<void> {
  const wanted = '/etc/systemd/system/sysinit.target.wants/systemd-resolved.service'
  const older = '/etc/systemd/system/multi-user.target.wants/systemd-resolved.service'
  const resolved = (await existsInside(root, wanted)) || (await existsInside(root, older))
  if (resolved) {
    await linkInside(root, '/etc/resolv.conf', '../run/systemd/resolve/stub-resolv.conf')
    return
  }
  const servers = carry.interfaces.flatMap(({ dnsServers }) => dnsServers)
  const domains = carry.interfaces.flatMap(({ dnsDomains }) => dnsDomains)
  const all = [...new Set([...carry.dnsServers, ...servers])]
  const search = [...new Set([...carry.dnsDomains, ...domains])]
  if (all.length === 0) return
  const lines = [
    `# The name servers as osflash found them; ${OURS}.`,
    ...(search.length === 0 ? [] : [`search ${search.join(' ')}`]),
    ...all.map((server) => `nameserver ${server}`),
  ]
  await writePlain(root, '/etc/resolv.conf', `${lines.join('\n')}\n`)
}

async function applyHostname(root: string, hostname: string): Promise<void> {
  await writePlain(root, '/etc/hostname', `${hostname}\n`)
  const hosts = (await readInside(root, '/etc/hosts'))?.toString() ?? ''
  await writePlain(root, '/etc/hosts', withHostname(hosts, hostname))
}

async function applyHostKeys(root: string, files: CapturedCarry['files']): Promise<void> {
  const names = files.ssh.map(({ name }) => name)
  for (const { name, bytes } of files.ssh) {
    const mode = name.endsWith('.pub') ? PUBLIC_MODE : SECRET_MODE
    await writeInside(root, { path: `/etc/ssh/${name}`, bytes, mode })
  }
  const old = (await namesOf(root, '/etc/ssh')).filter((name) => /^ssh_host_.*_key/.test(name))
  for (const name of old.filter((one) => !names.includes(one))) {
    await removeInside(root, `/etc/ssh/${name}`)
  }
  const certificates = names.filter((name) => name.endsWith('-cert.pub'))
  const lines = certificates.map((name) => `HostCertificate /etc/ssh/${name}\n`).join('')
  const settings = '/etc/ssh/sshd_config.d/05-osflash.conf'
  if (lines === '') await removeInside(root, settings)
  else await writePlain(root, settings, lines)
}

async function applyRootKeys(root: string, keys: string): Promise<void> {
  const folder = `${await rootHome(root)}/.ssh`
  const path = `${folder}/authorized_keys`
  const before = (await readInside(root, path))?.toString() ?? ''
  // Ours first: sshd takes the first line of a key, and the image's may force a command.
  await writeInside(root, { path, bytes: mergeKeys(keys, before), mode: SECRET_MODE })
  await closeFolder(root, folder)
}

/** sshd believes no keys in a folder that others may write to. */
async function closeFolder(root: string, folder: string): Promise<void> {
  const at = await insideRoot(root, folder)
  try {
    await chown(at, 0, 0)
    await chmod(at, FOLDER_MODE)
  } catch (cause) {
    throw ioError(`closing ${folder} of the root at ${root}`, cause)
  }
}

async function applyShadow(root: string, line: string): Promise<void> {
  const path = '/etc/shadow'
  const before = await readInside(root, path)
  if (before === undefined) return
  const { uid, gid, mode } = await stat(await insideRoot(root, path))
  const bytes = mergeHash(before.toString(), line)
  await writeInside(root, { path, bytes, mode: mode & 0o7777, owner: { uid, gid } })
}

/** Empty where there is no such folder. */
async function namesOf(root: string, folder: string): Promise<string[]> {
  const at = await insideRoot(root, folder)
  return readdir(at).catch((cause: unknown) => {
    if (errnoOf(cause) === 'ENOENT') return []
    throw ioError(`reading ${folder} of the root at ${root}`, cause)
  })
}

function writePlain(root: string, path: string, text: string): Promise<void> {
  const file: FileInside = { path, bytes: text, mode: PUBLIC_MODE }
  return writeInside(root, file)
}
