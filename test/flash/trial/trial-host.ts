/**
 * A small host for the trial agent: a root of its own with the machine's programs, two disks as
 * loop devices, a network with one neighbour, and, where there is one, a real sshd.
 *
 * It lives in its own namespaces; `systemctl` and `reboot` only say that they were called.
 */
import { randomUUID } from 'node:crypto'
import {
  appendFile,
  chmod,
  cp,
  mkdir,
  open,
  readdir,
  readFile,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { ConfirmSettings } from '../../../src/flash/boot/method.ts'
import type { Carry } from '../../../src/flash/carry/model.ts'
import { mountPartition } from '../../../src/flash/mounted-root.ts'
import { TARGET } from '../../../src/flash/places.ts'
import type { FlashPlan } from '../../../src/flash/plan/plan.ts'
import { injectTrial } from '../../../src/flash/trial/inject.ts'
import { type RunResult, run } from '../../../src/system/run.ts'
import { makeScratch } from '../../../src/system/scratch.ts'
import { MIB } from '../../../src/units.ts'
import { flashPlan } from '../flash-plan.ts'

export const TABLE_ID = 'a1b2c3d4-e5f6-4a7b-8c9d-0123456789ab'
export const DIGEST = 'd'.repeat(64)
const ADDRESS = '10.9.9.2'
export const GATEWAY = '10.9.9.1'
export const OWN_CODE = Buffer.alloc(440, 'target')
export const GUARD_CODE = Buffer.alloc(440, 'guard')
const STORE_BYTES = 16 * MIB

export interface HostOptions {
  readonly shell: 'dash' | 'busybox'
  readonly plan?: Partial<FlashPlan>
  /** Instead of a GPT with `TABLE_ID`: the lines for sfdisk. */
  readonly table?: string
  readonly boot?: Partial<ConfirmSettings>
  /** Text of the program on the stage; absent: there is no stage. */
  readonly program?: string
  /** Default: the address of the host, and its neighbour. */
  readonly reach?: Carry['reach']
  /** Of the neighbour; default: `GATEWAY`. */
  readonly neighbour?: string
  /** The sshd's key is another than the carry's; absent: there is no sshd. */
  readonly sshd?: 'old key' | 'new key'
}

export interface TrialHost extends AsyncDisposable {
  readonly root: string
  /** The target's disk; a loop device. */
  readonly disk: string
  /** Runs a program of the root with the shell. */
  script(...argv: readonly string[]): Promise<RunResult>
  agent(verb: 'run' | 'confirm'): Promise<RunResult>
  /** The calls of `systemctl` and `reboot`, a line each. */
  reboots(): Promise<string>
  /** Calls `look` with the path of the mounted store. */
  withStore<T>(look: (path: string) => Promise<T>): Promise<T>
  sector0(): Promise<Buffer>
  /** Takes the store away, as a stage disk that died. */
  loseStore(): Promise<void>
}

export async function makeTrialHost(options: HostOptions): Promise<TrialHost> {
  await using undo = new AsyncDisposableStack()
  const scratch = undo.use(await makeScratch('trial-host'))
  const root = join(scratch.path, 'root')
  // Other tests run beside this one, and a UUID means one file system.
  const uuids = { store: randomUUID(), stage: randomUUID() }
  const { device: disk } = await attach(undo, await makeDisk(scratch.path, options.table))
  const storeFile = await makeStoreFile(scratch.path, uuids.store)
  const store = await attach(undo, storeFile)
  if (options.program !== undefined) {
    await attach(
      undo,
      await makeStage(scratch.path, { uuid: uuids.stage, program: options.program }),
    )
  }
  await makeRoot(root, options)
  const hostKey = options.sshd === undefined ? '' : await addSshd(root, options.sshd)
  await inject(root, options, { disk, hostKey, uuids })
  const done = undo.move()
  let lost = false
  return {
    root,
    disk,
    script: (...argv) => enter(root, options, argv),
    agent: (verb) => enter(root, options, [TARGET.agent, verb]),
    reboots: () => readFile(join(root, 'reboots'), 'utf8').catch(() => ''),
    // Two loop devices of one file would be two file systems on one disk.
    withStore: (look) => lookInto(lost ? storeFile : store.device, scratch.path, look),
    sector0: async () => (await readFile(join(scratch.path, 'disk'))).subarray(0, 512),
    loseStore: async () => {
      lost = true
      await store.detach()
    },
    [Symbol.asyncDispose]: () => done.disposeAsync(),
  }
}

interface Loop {
  readonly device: string
  /** Only once: a number that is free is soon somebody else's. */
  detach(): Promise<void>
}

async function attach(undo: AsyncDisposableStack, file: string): Promise<Loop> {
  const device = (await run(['losetup', '--find', '--show', file])).stdout.trim()
  let bound = true
  const detach = async () => {
    if (!bound) return
    bound = false
    await run(['losetup', '--detach', device])
  }
  undo.defer(detach)
  return { device, detach }
}

async function makeDisk(folder: string, table = `label: gpt\nlabel-id: ${TABLE_ID}\nsize=4M\n`) {
  const path = join(folder, 'disk')
  await using file = await open(path, 'w+')
  await file.truncate(16 * MIB)
  await run(['sfdisk', '--quiet', path], { stdin: Buffer.from(table) })
  await file.write(GUARD_CODE, 0, GUARD_CODE.length, 0)
  return path
}

async function makeStoreFile(folder: string, uuid: string): Promise<string> {
  const content = join(folder, 'store-content')
  await mkdir(join(content, 'carry/ssh'), { recursive: true })
  await writeFile(join(content, 'target.session-key'), `${'SECRET'.repeat(10)}\n`)
  await writeFile(join(content, 'carry/ssh/ssh_host_ed25519_key'), 'SECRET'.repeat(1000))
  await writeFile(join(content, 'carry/with space'), 'SECRET')
  await writeFile(join(content, 'carry/empty'), '')
  return makeExt4(join(folder, 'store'), uuid, content)
}

/** The stage's root with the text of its program. */
async function makeStage(
  folder: string,
  { uuid, program }: { readonly uuid: string; readonly program: string },
): Promise<string> {
  const bin = join(folder, 'stage-content/opt/osflash/bin')
  await mkdir(bin, { recursive: true })
  await writeFile(join(bin, 'osflash'), program, { mode: 0o755 })
  return makeExt4(join(folder, 'stage'), uuid, join(folder, 'stage-content'))
}

async function makeExt4(path: string, uuid: string, content: string): Promise<string> {
  await using file = await open(path, 'w')
  await file.truncate(STORE_BYTES)
  await run(['mke2fs', '-q', '-t', 'ext4', '-U', uuid, '-d', content, path])
  return path
}

async function lookInto<T>(file: string, folder: string, look: (path: string) => Promise<T>) {
  const place = { disk: file, offset: 0, length: STORE_BYTES, fileSystem: 'ext4' }
  await using store = await mountPartition({ ...place, at: join(folder, 'look') })
  return await look(store.path)
}

const FROM_MACHINE = ['usr/bin', 'usr/sbin', 'usr/lib64', 'usr/lib/x86_64-linux-gnu', 'dev', 'sys']
const OF_BUSYBOX =
  'awk basename cat chattr cut date dd find grep head ip mkdir mount mv od ping printf readlink ' +
  'rm rmdir sed sh sleep sync tail tr umount wc'

async function makeRoot(root: string, { shell }: HostOptions): Promise<void> {
  const folders = [
    'proc',
    'etc/ssh',
    'boot/grub',
    'run/sshd',
    'var/tmp',
    'fakes',
    'usr/lib/systemd',
  ]
  for (const folder of [...FROM_MACHINE, ...folders]) {
    await mkdir(join(root, folder), { recursive: true })
  }
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) await symlink(`usr/${name}`, join(root, name))
  await writeFile(join(root, 'usr/lib/systemd/systemd'), '')
  const people = ['root:x:0:0::/root:/bin/sh', 'sshd:x:74:74::/run/sshd:/bin/false', '']
  await writeFile(join(root, 'etc/passwd'), people.join('\n'))
  await writeFile(join(root, 'boot/grub/grub.cfg'), '\tlinux /vmlinuz root=UUID=1 ro quiet\n')
  for (const name of ['systemctl', 'reboot']) {
    await writeFile(join(root, 'fakes', name), `#!/bin/sh\necho "${name} $*" >>/reboots\n`)
    await chmod(join(root, 'fakes', name), 0o755)
  }
  if (shell !== 'busybox') return
  const busybox = (await run(['sh', '-c', 'command -v busybox'])).stdout.trim()
  await cp(busybox, join(root, 'fakes/busybox'))
  for (const name of OF_BUSYBOX.split(' ')) await symlink('busybox', join(root, 'fakes', name))
}

/** @returns the fingerprint of the key that clients know */
async function addSshd(root: string, which: 'old key' | 'new key'): Promise<string> {
  const sshd = (await run(['sh', '-c', 'command -v sshd'])).stdout.trim()
  const libraries = (await run(['ldd', sshd])).stdout.matchAll(/=> (\/\S+)/g)
  await mkdir(join(root, 'sshd'))
  for (const [, library = ''] of libraries) {
    await cp(library, join(root, 'sshd', basename(library)), { dereference: true })
  }
  await cp(sshd, join(root, 'fakes/sshd'), { dereference: true })
  await writeFile(join(root, 'etc/ld.so.conf'), '/sshd\n')
  await run(['ldconfig', '-r', root])
  const key = join(root, 'etc/ssh/ssh_host_ed25519_key')
  const old = which === 'old key' ? key : join(root, 'etc/ssh/old')
  for (const path of new Set([key, old])) {
    await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', path])
  }
  await writeFile(join(root, 'etc/ssh/sshd_config'), 'Port 2222\n')
  const { stdout } = await run(['ssh-keygen', '-lf', `${old}.pub`])
  return stdout.split(' ')[1] ?? ''
}

interface Made {
  readonly disk: string
  readonly hostKey: string
  readonly uuids: { readonly store: string; readonly stage: string }
}

async function inject(
  root: string,
  options: HostOptions,
  { disk, hostKey, uuids }: Made,
): Promise<void> {
  const plan = flashPlan(options.plan)
  const variables = { DISK: disk, TABLE_ID, FORCE_AFTER_SECONDS: '1', ...options.boot?.variables }
  const sector0 = Buffer.concat([OWN_CODE, Buffer.alloc(72, 0x77)])
  const files = [{ path: '/var/lib/osflash/sector0.img', bytes: sector0 }]
  await injectTrial({
    root,
    plan: { ...plan, carry: { ...plan.carry, hostKeys: hostKey === '' ? [] : [hostKey] } },
    planDigest: DIGEST,
    storeUuid: uuids.store,
    rescueRootUuid: uuids.stage,
    reach: options.reach ?? { addresses: [ADDRESS], gateways: [GATEWAY] },
    boot: { variables, files: options.boot?.files ?? files },
    sequences: {},
  })
  // busybox ash would sooner run its own applet than a program of that name.
  const reboot = 'reboot() { /fakes/reboot "$@"; }\n'
  await appendFile(join(root, 'etc/osflash/trial.conf'), reboot)
}

/** The kernel's settings are the machine's: read-only. */
const ENTER = `set -e
root=$1 neighbour=$2 shell=$3
shift 3
# A chroot that may unshare its mounts begins at a mount point.
mount --bind "$root" "$root"
cd "$root"
for folder in ${FROM_MACHINE.join(' ')}; do mount --rbind "/$folder" "$folder"; done
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
ip link set lo up
ip link add name host0 type veth peer name other0
ip addr add ${ADDRESS}/24 dev host0
ip link set host0 up
ip route add default via ${GATEWAY} dev host0
unshare --net sleep 600 &
until [ "$(readlink /proc/$!/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
ip link set other0 netns $!
nsenter --net=/proc/$!/ns/net sh -c "ip addr add $neighbour/24 dev other0; ip link set other0 up"
export PATH=/fakes:$PATH
unset LD_LIBRARY_PATH
[ -e fakes/sshd ] && chroot . /fakes/sshd
case $shell in
  busybox) chroot . /fakes/busybox sh "$@" ;;
  *) chroot . "$shell" "$@" ;;
esac
`

function enter(
  root: string,
  { neighbour = GATEWAY, shell }: HostOptions,
  script: readonly string[],
): Promise<RunResult> {
  const spaces = ['--mount', '--mount-proc', '--net', '--pid', '--fork', '--kill-child'] as const
  const argv = ['sh', '-c', ENTER, 'enter', root, neighbour, shell, ...script] as const
  return run(['unshare', ...spaces, ...argv], { statuses: [0, 1, 3] })
}

export const hasProgram = async (name: string): Promise<boolean> =>
  (await run(['sh', '-c', `command -v ${name}`], { statuses: [0, 1, 127] })).status === 0

/** Everything in a folder, deep. */
export const listAll = async (path: string): Promise<string[]> =>
  (await readdir(path, { recursive: true })).sort()
