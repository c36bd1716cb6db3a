import { copyFile, stat, truncate } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { GIB } from '../../src/units.ts'
import { blankDisk } from './first-os.ts'
import { SERIAL } from './host.ts'
import { image, imageFileName, type Variant } from './images.ts'
import { commandLine, type Options, STRANGER, STRANGERS_KEY } from './operator.ts'
import { type Began, beginWith, bootFirstOs } from './takeover.ts'
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
  /** About the one line of the error. */
  readonly says: RegExp
  /** About a hint below it. */
  readonly hint?: RegExp
}

/** Two machines at once on two processors. */
const SLOW = { timeout: 20 * 60_000 } as const
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
  {
    what: 'no such disk',
    options: { disk: 'NO-SUCH-DISK' },
    says: /the disk NO-SUCH-DISK: no disk has/,
  },
  {
    what: 'a kernel name',
    options: { disk: 'vda' },
    says: /the disk vda: this name may mean another disk/,
    hint: new RegExp(`^hint: ${SERIAL.disk} is /dev/vda`, 'm'),
  },
  { what: 'a number that two disks have', options: { stage: TWIN }, says: /2 disks/ },
  { what: 'one disk for both', options: { stage: SERIAL.disk }, says: /named by --disk and by/ },
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
    says: /the image needs 8\.00 GiB/,
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
  {
    what: 'a signer whom nobody trusts',
    options: STRANGER,
    status: 4,
    says: /verifying the signatures/,
  },
  {
    what: 'a key for other images',
    options: STRANGERS_KEY,
    status: 4,
    says: /checking the rescue: decrypting keys\.pgp/,
  },
  { what: 'no watchdog', options: { 'accept-no-watchdog': null }, says: /no hardware watchdog/ },
  {
    what: 'a boot loader that is not understood',
    before: `mv ${GRUB} ${AWAY}; echo 'set timeout=1' > ${GRUB}`,
    after: `mv ${AWAY} ${GRUB}`,
    says: /checking the boot loader/,
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
    says: /it is a container/,
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

/** Under UEFI: what BIOS has not. */
const UEFI_REFUSALS: readonly Refusal[] = [
  {
    what: 'variables of the firmware that cannot be written',
    before: 'mount -o remount,ro /sys/firmware/efi/efivars',
    after: 'mount -o remount,rw /sys/firmware/efi/efivars',
    says: /checking the firmware: .*read-only/,
  },
  {
    what: 'an image for other firmware',
    target: { name: 'bios', set: ['firmware=[bios]'] },
    says: /boots under bios/,
  },
]

/** Only the unpacked rescue shows that it would see no network here. */
const BLIND: Variant = {
  name: 'blind',
  scripts: [
    'rm /usr/lib/modules/*/kernel/drivers/net/virtio_net.ko*; depmod -a $(ls /lib/modules)',
  ],
}

test.concurrent('BIOS: each refusal: its status, one line, and nothing changed', SLOW, async () => {
  await using began = await beginWith({ name: 'refusals-bios', firmware: 'bios' })
  const { host } = began
  for (const [place, serial] of [SERIAL.other, TWIN, TWIN].entries()) {
    const path = `${host.folder}/small-${place}.img`
    await blankDisk(path, GIB / 2)
    host.disks = [...host.disks, { path, serial, bootIndex: place + 3 }]
  }
  await bootFirstOs(began)
  await expectRefused(began, REFUSALS)
})

test.concurrent(
  'UEFI: each refusal, then a rescue without a driver of the host',
  SLOW,
  async () => {
    await using began = await beginWith({ name: 'refusals-uefi', firmware: 'uefi' })
    const { host, server } = began
    await bootFirstOs(began)
    await expectRefused(began, UEFI_REFUSALS)
    const before = await bootConfiguration(host)
    const disk = await digestOutsideRoot(host.diskPath)
    const blind = await image('rescue', BLIND)
    const rescue = { rescue: server.offer(blind, imageFileName(blind)) }
    const { status, stderr } = await host.outcome(applyWith(began, rescue))
    expect(stderr).toMatch(/^osflash: error: .*lacks the kernel modules.* virtio_net/m)
    expect(status).toBe(3)
    expect(await bootConfiguration(host)).toBe(before)
    expect(await digestOutsideRoot(host.diskPath)).toBe(disk)
  },
)

const applyWith = ({ images }: Began, ...layers: readonly Options[]): string =>
  commandLine('apply', { yes: '', 'no-reboot': '' }, images, ...layers)

/** The host is as it was behind all of them. */
async function expectRefused(began: Began, refusals: readonly Refusal[]): Promise<void> {
  const { host, images } = began
  const before = await bootConfiguration(host)
  const disk = await digestOutsideRoot(host.diskPath)
  const stage = await digestOfDisk(host.stagePath)
  const faults: string[] = []
  for (const refusal of refusals) {
    const { what, options = {}, status = 3, says, hint = /^/ } = refusal
    const command = applyWith(began, await targetOf(began, refusal), options)
    const waiting = commandLine('apply', { 'no-reboot': '' }, images)
    const before = refusal.isSecond ? otherApply(waiting) : (refusal.before ?? ':')
    const after = refusal.isSecond ? END_OTHER : (refusal.after ?? ':')
    const undone = `${before}; ${command}; status=$?; ${after}`
    const outcome = await host.outcome(`${undone}; exit $status`)
    const lines = outcome.stderr.split('\n').filter((line) => /^osflash: error: /.test(line))
    const saysWhy = lines.length === 1 && says.test(lines.join()) && hint.test(outcome.stderr)
    const isAsWanted = outcome.status === status && saysWhy
    if (!isAsWanted) faults.push(`${what}: ${outcome.status}: ${outcome.stderr}`)
  }
  expect(faults).toEqual([])
  expect(await bootConfiguration(host)).toBe(before)
  expect(await digestOutsideRoot(host.diskPath)).toBe(disk)
  expect(await digestOfDisk(host.stagePath)).toBe(stage)
}

async function targetOf(
  { host, server }: Began,
  { target, isTruncated }: Refusal,
): Promise<Options> {
  if (isTruncated) return { target: server.offer(await halfIn(host.folder), 'half.osimg') }
  if (target === undefined) return {}
  const path = await image('target-debian-13', target)
  return { target: server.offer(path, imageFileName(path)) }
}

async function halfIn(folder: string): Promise<string> {
  const path = `${folder}/half.osimg`
  const whole = await image('target-debian-13')
  await copyFile(whole, path)
  await truncate(path, Math.floor((await stat(whole)).size / 2))
  return path
}
