/**
 * A machine as its owner wants it, and QEMU's command line for it.
 *
 * 1. A processor with AES, and no device that no test asks for.
 * 2. Disks in the order that the guest finds them; each may have its writes recorded.
 * 3. OVMF's variables lie in the machine's folder, made from the empty ones when they are missing.
 */
import { constants, copyFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface MachineDisk {
  readonly path: string
  /** What the guest sees as the serial number; at most 20 characters. */
  readonly serial: string
  /** Default 512; SeaBIOS boots from no other. */
  readonly sectorBytes?: 512 | 4096
  /** Where the firmware tries it, from 1; default: as listed. Null: no place is named. */
  readonly bootIndex?: number | null
  /** Every write is recorded here, in the format of dm-log-writes. */
  readonly writeLogPath?: string
}

export interface MachineOptions {
  readonly firmware: 'bios' | 'uefi'
  readonly disks: readonly MachineDisk[]
  /** An existing folder for logs, sockets and firmware variables. */
  readonly folder: string
  /** The private key that the guest's root accepts. */
  readonly sshKey: string
  /** False: the disk files stay as they are. */
  readonly keepDisks: boolean
  readonly memoryMib?: number
  /** Default 1: with more, QEMU's translator now and then runs half-patched kernel code (int3). */
  readonly processors?: number
  /** Where SSH goes; default: the address that QEMU's DHCP server gives. */
  readonly guestAddress?: string
  /** The one host key that is accepted, as in a .pub file; default: whatever comes first. */
  readonly hostKey?: string
  /** A watchdog (i6300esb) that resets the machine. */
  readonly watchdog?: boolean
}

/** AES in instructions: QEMU's usual processor has none, and OCB runs at a fifth of the speed. */
const PROCESSOR = 'qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+aes,+pclmulqdq'
const OVMF_CODE = '/usr/share/OVMF/OVMF_CODE_4M.fd'
const OVMF_VARS = '/usr/share/OVMF/OVMF_VARS_4M.fd'

export const serialLog = ({ folder, firmware }: MachineOptions): string =>
  join(folder, `${firmware}-serial.log`)
export const qmpSocket = ({ folder, firmware }: MachineOptions): string =>
  join(folder, `${firmware}-qmp.sock`)

export async function qemuArguments(
  options: MachineOptions,
  port: number,
  isReset: boolean,
): Promise<string[]> {
  const { disks, memoryMib = 1024, processors = 1, guestAddress = '' } = options
  const forward = `hostfwd=tcp:127.0.0.1:${port}-${guestAddress}:22`
  return [
    ...['-accel', 'tcg,thread=multi', '-smp', String(processors), '-m', String(memoryMib)],
    ...['-cpu', PROCESSOR],
    // No screen, no drives of other kinds: their drivers take seconds of each start.
    ...['-display', 'none', '-vga', 'none', '-nodefaults', '-no-user-config'],
    ...['-chardev', `file,id=serial,append=on,path=${serialLog(options)}`],
    ...['-serial', 'chardev:serial'],
    // The guest's reset and its end both come as an event, and wait for us.
    ...['-action', `shutdown=pause,reboot=${options.keepDisks ? 'shutdown' : 'reset'}`],
    ...['-qmp', `unix:${qmpSocket(options)},server=on,wait=off`],
    ...['-nic', `user,model=virtio-net-pci,${forward}`],
    ...['-device', 'virtio-rng-pci'],
    ...(options.watchdog === true ? ['-device', 'i6300esb', '-action', 'watchdog=reset'] : []),
    ...disks.flatMap((disk, place) => diskArguments({ disk, place, isReset }, options)),
    ...(options.firmware === 'uefi' ? await ovmfArguments(options) : []),
  ]
}

interface Attached {
  readonly disk: MachineDisk
  readonly place: number
  readonly isReset: boolean
}

function diskArguments({ disk, place, isReset }: Attached, options: MachineOptions): string[] {
  const { path, serial, sectorBytes = 512, bootIndex = place + 1, writeLogPath } = disk
  const snapshot = `snapshot=${options.keepDisks ? 'off' : 'on'}`
  const backend =
    writeLogPath === undefined
      ? `if=none,id=disk${place},format=raw,${snapshot},file=${path}`
      : `if=none,id=disk${place},driver=blklogwrites,file.driver=raw,file.file.driver=file,` +
        `file.file.filename=${path},log.driver=file,log.filename=${writeLogPath}` +
        (isReset ? ',log-append=on' : '')
  const order = bootIndex === null ? '' : `bootindex=${bootIndex},`
  return [
    ...['-drive', backend],
    '-device',
    `virtio-blk-pci,drive=disk${place},serial=${serial},${order}` +
      `logical_block_size=${sectorBytes},physical_block_size=${sectorBytes}`,
  ]
}

async function ovmfArguments({ folder }: MachineOptions): Promise<string[]> {
  const variables = join(folder, 'ovmf-vars.fd')
  await copyFile(OVMF_VARS, variables, constants.COPYFILE_EXCL).catch((cause: unknown) => {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'EEXIST')) throw cause
  })
  const flash = 'if=pflash,format=raw'
  return [
    ...['-machine', 'q35'],
    ...['-drive', `${flash},readonly=on,file=${OVMF_CODE}`],
    ...['-drive', `${flash},file=${variables}`],
  ]
}
