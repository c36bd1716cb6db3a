import { copyFile, stat, truncate } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { GIB } from '../../src/units.ts'
import { blankDisk } from './first-os.ts'
import { SERIAL } from './host.ts'
import { image, imageFileName, type Variant } from './images.ts'
import { commandLine, type Options, STRANGER, STRANGERS_KEY } from './operator.ts'
import { beginWith, bootFirstOs } from './takeover.ts'
import { bootConfiguration, digestOfDisk, digestOutsideRoot } from './untouched.ts'

interface Refusal {
  readonly what: string
  readonly options?: Options
  /** The target is this one. */
  readonly target?: Variant
  /** The target is half of itself. */
  readonly isTruncated?: true
  /** Shell around the command, as `do; COMMAND; undo`. */
  readonly before?: string
  readonly after?: string
  /** Called while the same command waits for its operator. */
  readonly isSecond?: true
  /** 3 unless it is a question of trust, damage or the network. */
  readonly status?: number
  readonly says: RegExp
}

const AWAY = '/root/away'
const KEYS_FILE = '/root/.ssh/authorized_keys'
const GRUB = '/boot/grub/grub.cfg'
const TWIN = 'E2E-TWIN-4'
/** Keeps GRUB's folder in memory, where GRUB cannot write. */
const COVER_GRUB =
  'mkdir /run/cover; mount -t tmpfs cover /run/cover; cp -a /boot/grub/. /run/cover; ' +
  'mount --bind /run/cover /boot/grub'
const UNCOVER_GRUB = 'umount /boot/grub /run/cover; rmdir /run/cover'
/** Another `apply`, which waits on its terminal for the operator's word. */
const otherApply = (command: string): string =>
  `mkfifo /run/word; sleep 600 > /run/word & typing=$!
   script -qfc "${command}" /run/other.log < /run/word > /dev/null & other=$!
   for second in $(seq 60); do grep -q @osflash- /proc/net/unix && break; sleep 1; done`
const END_OTHER =
  'kill $typing $other; wait; rm /run/word /run/other.log; ' +
  'for second in $(seq 60); do grep -q @osflash- /proc/net/unix || break; sleep 1; done'

const REFUSALS: readonly Refusal[] = [
  { what: 'no such disk', options: { disk: 'NO-SUCH-DISK' }, says: /NO-SUCH-DISK/ },
  { what: 'a kernel name', options: { disk: 'vda' }, says: /vda.*|E2E-DISK-1/s },
  { what: 'a number that two disks have', options: { stage: TWIN }, says: /2 disks/ },
  { what: 'one disk for both', options: { stage: SERIAL.disk }, says: /--stage/ },
  {
    what: 'the disk that runs this system, named as stage',
    options: { disk: SERIAL.stage, stage: SERIAL.disk },
    says: /runs from/,
  },
  { what: 'data of others', options: { 'wipe-data': null }, says: /holds .*decoy/ },
  { what: 'a stage too small', options: { stage: SERIAL.other }, says: /the rescue alone needs/ },
  {
    what: 'a disk too small',
    target: { name: 'large', set: ['disk.size=8GiB'] },
    says: /8\.00 GiB|too small|larger disk/,
  },
  {
    what: 'an image for other firmware',
    target: { name: 'uefi', set: ['firmware=[uefi]'] },
    says: /boots under uefi/,
  },
  {
    what: 'an image that has expired',
    target: { name: 'expired', set: ['expires="2001-01-01T00:00:00Z"'] },
    status: 4,
    says: /expired/,
  },
  {
    what: 'an image older than one taken before',
    before: `mkdir -p /var/lib/osflash; echo '{"e2e-target":7}' > /var/lib/osflash/sequences.json`,
    after: 'rm /var/lib/osflash/sequences.json',
    status: 4,
    says: /sequence is 1, this host took 7/,
  },
  { what: 'a signer whom nobody trusts', options: STRANGER, status: 4, says: /sign/ },
  { what: 'a key for other images', options: STRANGERS_KEY, status: 4, says: /decrypt|key/ },
  { what: 'no watchdog', options: { 'accept-no-watchdog': null }, says: /watchdog/ },
  {
    what: 'a boot loader that is not understood',
    before: `mv ${GRUB} ${AWAY}; echo 'set timeout=1' > ${GRUB}`,
    after: `mv ${AWAY} ${GRUB}`,
    says: /boot loader/,
  },
  {
    what: 'a boot loader that cannot write where it reads',
    before: COVER_GRUB,
    after: UNCOVER_GRUB,
    says: /boot loader in .*(cannot write|lies on)/,
  },
  {
    what: 'a network that cannot be carried',
    before:
      'ip link add link "$(ls /sys/class/net | grep -m 1 ^e)" name vlan9 type vlan id 9; ' +
      'ip addr add 10.9.0.1/24 dev vlan9; ip link set vlan9 up; sleep 1',
    after: 'ip link del vlan9',
    says: /vlan9/,
  },
  {
    what: 'nobody who could log in afterwards',
    before: `mv ${KEYS_FILE} ${AWAY}`,
    after: `mv ${AWAY} ${KEYS_FILE}`,
    says: /authorized key/,
  },
  {
    what: 'a container',
    before: 'echo docker > /run/systemd/container',
    after: 'rm /run/systemd/container',
    says: /container/,
  },
  {
    what: 'a second apply while one is under way',
    isSecond: true,
    says: /another osflash/,
  },
  {
    what: 'an image that was cut off',
    isTruncated: true,
    status: 6,
    says: /bytes, not \d+/,
  },
  {
    what: 'an image that is not there',
    options: { target: 'http://10.0.2.2:1/none.osimg' },
    status: 5,
    says: /none\.osimg/,
  },
]

test('each refusal: its status, one line, and nothing changed', async () => {
  await using began = await beginWith({ name: 'refusals', firmware: 'bios' })
  const { host, server, images } = began
  for (const [place, serial] of [SERIAL.other, TWIN, TWIN].entries()) {
    const path = `${host.folder}/small-${place}.img`
    await blankDisk(path, GIB / 2)
    host.disks = [...host.disks, { path, serial, bootIndex: place + 3 }]
  }
  await bootFirstOs(began)
  const before = await bootConfiguration(host)
  const disk = await digestOutsideRoot(host.diskPath)
  const stage = await digestOfDisk(host.stagePath)
  for (const refusal of REFUSALS) {
    const { what, options = {}, status = 3, says } = refusal
    const own = await targetOf(refusal)
    const waiting = commandLine('apply', { 'no-reboot': '' }, images)
    const command = commandLine('apply', { yes: '', 'no-reboot': '' }, images, own, options)
    const before = refusal.isSecond ? otherApply(waiting) : (refusal.before ?? ':')
    const after = refusal.isSecond ? END_OTHER : (refusal.after ?? ':')
    const undone = `${before}; ${command}; status=$?; ${after}`
    const outcome = await host.outcome(`${undone}; exit $status`)
    const said = outcome.stderr.split('\n').filter((line) => /^osflash: error: /.test(line))
    expect.soft({ what, status: outcome.status, lines: said.length }, outcome.stderr).toEqual({
      what,
      status,
      lines: 1,
    })
    expect.soft(outcome.stderr, what).toMatch(says)
  }
  expect(await bootConfiguration(host)).toBe(before)
  expect(await digestOutsideRoot(host.diskPath)).toBe(disk)
  expect(await digestOfDisk(host.stagePath)).toBe(stage)

  async function targetOf({ target, isTruncated }: Refusal): Promise<Options> {
    if (isTruncated) return { target: server.offer(await half(), 'half.osimg') }
    if (target === undefined) return {}
    const path = await image('target-debian-13', target)
    return { target: server.offer(path, imageFileName(path)) }
  }

  async function half(): Promise<string> {
    const path = `${host.folder}/half.osimg`
    const whole = await image('target-debian-13')
    await copyFile(whole, path)
    await truncate(path, Math.floor((await stat(whole)).size / 2))
    return path
  }
})
