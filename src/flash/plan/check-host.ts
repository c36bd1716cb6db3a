/**
 * Whether this host may be replaced at all, and nothing is under way on it.
 *
 * 1. Root, no container, x86-64.
 * 2. No replacement that is armed or further.
 * 3. A hardware watchdog, or the operator's word that none is fine.
 * 4. Somebody can log in afterwards.
 */
import type { Carry } from '../carry/model.ts'
import type { HostFacts } from '../host/host.ts'
import type { State, SystemName } from '../states.ts'
import { refused } from './refused.ts'

/** @throws OsflashError `refused` */
export function checkHost(
  host: Pick<HostFacts, 'isRoot' | 'container' | 'architecture' | 'firmwareBits'>,
): void {
  if (!host.isRoot) {
    throw refused('checking this host: only root can read its disks and keys', 'sudo osflash …')
  }
  if (host.container !== undefined) {
    throw refused(
      `checking this host: it is a container (${host.container}), and has no disk of its own`,
      'run it on the host itself',
    )
  }
  if (host.architecture !== 'x86_64') {
    throw refused(
      `checking this host: ${host.architecture} is not supported`,
      'only x86_64 hosts can be replaced',
    )
  }
  if (host.firmwareBits === 32) {
    throw refused(
      'checking this host: its UEFI has 32 bits and starts no 64-bit boot loader',
      'turn on the BIOS mode (CSM) of the firmware, where it has one',
    )
  }
}

/** @throws OsflashError `refused` in the rescue, which has nothing to replace itself with */
export function checkSystem(system: SystemName): void {
  if (system !== 'rescue') return
  throw refused('checking this host: this is the rescue of a replacement', 'osflash status')
}

/** States in which the next boot is still that of the first OS, whatever is on the stage. */
const HARMLESS: readonly State[] = ['preflight', 'staging', 'staged', 'confirmed', 'aborted']

/**
 * @param state of the journal that an earlier run left; absent when there is none
 * @throws OsflashError `refused`
 */
export function checkNothingUnderWay(state: State | undefined): void {
  if (state === undefined || HARMLESS.includes(state)) return
  throw refused(
    `checking this host: a replacement is under way, it is ${state}`,
    state === 'armed' ? 'osflash abort undoes it, reboot goes on with it' : 'osflash status',
  )
}

/** @throws OsflashError `refused` unless `accepted` */
export function checkWatchdog(host: Pick<HostFacts, 'watchdog'>, accepted: boolean): void {
  if (host.watchdog !== undefined || accepted) return
  throw refused(
    'checking this host: it has no hardware watchdog, so a system that hangs stays hung',
    '--accept-no-watchdog takes the risk; modprobe of its driver may bring one',
  )
}

/** @throws OsflashError `refused` when no key would open the rescue and the target */
export function checkLogin(carry: Pick<Carry, 'rootKeys'>): void {
  if (carry.rootKeys > 0) return
  throw refused(
    'checking the carry: root has no authorized key, nobody could log in afterwards',
    "put a public key into root's .ssh/authorized_keys",
  )
}

/** @throws OsflashError `refused` when no address would be carried */
export function checkReachable(carry: Pick<Carry, 'interfaces'>): void {
  const reachable = carry.interfaces.some(
    ({ addresses, dhcp4, dhcp6, acceptRouterAdvertisements }) =>
      addresses.length > 0 || dhcp4 || dhcp6 || acceptRouterAdvertisements,
  )
  if (reachable) return
  throw refused(
    'checking the carry: no Ethernet interface of this host has an address',
    'ip address shows them; only Ethernet interfaces are carried',
  )
}
