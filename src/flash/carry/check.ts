/**
 * Does another system, mounted below a folder, have the carry; and is this one reachable as the
 * host was?
 *
 * 1. `checkCarry` asks the system's own sshd in a chroot: it takes its configuration (`sshd -t`),
 *    the host keys that it would present are the old ones, root may log in, and the file where it
 *    looks for root's keys holds ours.
 * 2. `reachable` is the gate of the rehearsal: every address where the host was found is on an
 *    interface that is up, every gateway that answered before answers, and a default route is
 *    there. It asks again until that is so.
 *
 * `checkCarry` makes /run/sshd and /dev/null in the root while it runs; nothing else changes.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { cancelled, OsflashError } from '../../errors.ts'
import { readInside } from '../../system/inside-root.ts'
import { run } from '../../system/run.ts'
import { keyLines, keyOf, opensShell } from './authorized-keys.ts'
import { ipState } from './capture-network.ts'
import { withChrootNeeds } from './chroot-needs.ts'
import { type Family, type IpRoute, type IpState, usableAddresses } from './ip-json.ts'
import { isLinkLocal6 } from './ip-prefix.ts'
import type { Carry } from './model.ts'
import { gatewayAnswers } from './neighbour.ts'
import { askSshd, readHostKeys, type SystemRoot } from './ssh-identity.ts'
import type { SshdSettings } from './sshd-settings.ts'

const AGAIN_MS = 1_000

export interface CarryCheck {
  /** Where the other system's root is mounted. */
  readonly root: string
  readonly carry: Carry
  readonly signal?: AbortSignal | undefined
}

/**
 * Everything that can be known before the system starts.
 * @throws OsflashError `refused` saying what is missing; `process` when its sshd says no
 */
export async function checkCarry({ root, carry, signal }: CarryCheck): Promise<void> {
  const system: SystemRoot = { root, signal }
  const name = (await readInside(root, '/etc/hostname'))?.toString().trim()
  if (name !== carry.hostname) throw notCarried(`its hostname is ${name ?? 'not set'}`)
  await withChrootNeeds(root, async () => {
    await run(['chroot', root, '/usr/sbin/sshd', '-t'], { signal })
    const settings = await askSshd(system)
    await checkHostKeys(system, carry, settings)
    checkLogin(carry, settings)
    await checkRootKeys(root, carry, settings)
  })
}

async function checkHostKeys(
  system: SystemRoot,
  carry: Carry,
  { hostKeys }: SshdSettings,
): Promise<void> {
  const found = (await readHostKeys(system, hostKeys)).map(({ fingerprint }) => fingerprint)
  const missing = carry.hostKeys.filter((one) => !found.includes(one))
  const foreign = found.filter((one) => !carry.hostKeys.includes(one))
  if (missing.length > 0) throw notCarried(`its sshd lacks the host key ${missing.join(', ')}`)
  if (foreign.length > 0) throw notCarried(`its sshd has another host key ${foreign.join(', ')}`)
}

function checkLogin({ rootKeys }: Carry, settings: SshdSettings): void {
  const { permitRootLogin, pubkeyAuthentication, passwordAuthentication } = settings
  const byKey =
    pubkeyAuthentication &&
    ['yes', 'prohibit-password', 'without-password'].includes(permitRootLogin)
  const byPassword = passwordAuthentication && permitRootLogin === 'yes'
  if (rootKeys > 0 ? !byKey : !byPassword) {
    throw notCarried(`its sshd does not let root in (PermitRootLogin ${permitRootLogin})`)
  }
}

/** The count is of keys that open a shell. */
async function checkRootKeys(root: string, carry: Carry, settings: SshdSettings): Promise<void> {
  const known = new Set<string>()
  for (const path of settings.rootKeyFiles) {
    const text = (await readInside(root, path))?.toString() ?? ''
    for (const line of keyLines(text).filter(opensShell)) known.add(keyOf(line))
  }
  if (known.size >= carry.rootKeys) return
  throw notCarried(`its sshd finds ${known.size} keys for root, ${carry.rootKeys} were carried`)
}

function notCarried(why: string): OsflashError {
  return new OsflashError('refused', `checking the new system: ${why}`)
}

export interface Gate {
  readonly carry: Carry
  readonly withinSeconds: number
  readonly signal?: AbortSignal | undefined
}

/**
 * Returns when this system is reachable as the host was.
 * @throws OsflashError `network` naming what is missing when the time is over; `cancelled`
 */
export async function reachable({ carry, withinSeconds, signal }: Gate): Promise<void> {
  const end = performance.now() + withinSeconds * 1_000
  for (;;) {
    const missing = await missingNow(carry, signal)
    if (missing.length === 0) return
    if (performance.now() >= end) {
      throw new OsflashError('network', `reaching what the host reached: ${missing.join(', ')}`)
    }
    await sleep(AGAIN_MS, undefined, { signal }).catch(() => {
      throw cancelled()
    })
  }
}

async function missingNow(carry: Carry, signal: AbortSignal | undefined): Promise<string[]> {
  const state = await ipState(signal)
  const missing = missingAddresses(carry, state).map((address) => `${address} is on no interface`)
  const names = carriedNames(carry, state)
  const silent = await Promise.all(
    carry.reach.gateways.map(async (gateway) =>
      (await gatewayAnswers({ gateway, names, signal })) ? [] : [`${gateway} does not answer`],
    ),
  )
  return [...missing, ...missingDefaults(carry, state), ...silent.flat()]
}

/** A gateway that answers is of no use to who has no route by way of it. */
function missingDefaults({ reach }: Carry, { routes }: IpState): string[] {
  const families = [...new Set(reach.gateways.map((gateway) => familyOf(gateway)))]
  const isDefault = ({ dst, table = 'main', type = 'unicast' }: IpRoute) =>
    dst === 'default' && table === 'main' && type === 'unicast'
  return families
    .filter((family) => !routes[family].some(isDefault))
    .map((family) => `there is no default route for ${family === 'inet' ? 'IPv4' : 'IPv6'}`)
}

const familyOf = (address: string): Family => (address.includes(':') ? 'inet6' : 'inet')

/** The carried addresses that are on no interface that is up. */
function missingAddresses({ reach }: Carry, state: IpState): string[] {
  const up = state.links.filter(({ flags }) => flags.includes('LOWER_UP'))
  const held = up.flatMap(({ ifname }) => usableAddresses(state, ifname))
  return reach.addresses.filter((address) => !held.includes(address) && !isLinkLocal6(address))
}

/** What the carried interfaces are called here. */
function carriedNames({ interfaces }: Carry, { links }: IpState): string[] {
  const macs = interfaces.map(({ mac }) => mac)
  return links
    .filter(({ address, permaddr }) => macs.includes((permaddr ?? address ?? '').toLowerCase()))
    .map(({ ifname }) => ifname)
}
