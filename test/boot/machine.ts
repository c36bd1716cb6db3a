/**
 * A virtual machine that really boots: QEMU without KVM, SeaBIOS or OVMF, SSH over loopback.
 *
 * 1. Disks are virtio with serial numbers; with `keepDisks: false` what the guest writes is
 *    thrown away at the end.
 * 2. OVMF gets a copy of its variables, so boot entries last as long as the machine.
 * 3. The first serial port goes to a file: the place to look when something does not boot.
 * 4. `await using` ends QEMU by its process id, also when a test fails.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, open, readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { run } from '../../src/system/run.ts'
import { Qmp } from './qmp.ts'

export interface MachineDisk {
  readonly path: string
  /** What the guest sees as the serial number; at most 20 characters. */
  readonly serial: string
  /** Default 512; SeaBIOS boots from no other. */
  readonly sectorBytes?: 512 | 4096
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
}

const OVMF_CODE = '/usr/share/OVMF/OVMF_CODE_4M.fd'
const OVMF_VARS = '/usr/share/OVMF/OVMF_VARS_4M.fd'

export class Machine implements AsyncDisposable {
  readonly serialLogPath: string
  readonly #options: MachineOptions
  readonly #port: number
  readonly #qemu: ChildProcess
  readonly #startedMs = performance.now()

  private constructor(options: MachineOptions, port: number, qemu: ChildProcess) {
    this.#options = options
    this.#port = port
    this.#qemu = qemu
    this.serialLogPath = serialLog(options)
  }

  /** Switches the machine on. */
  static async start(options: MachineOptions): Promise<Machine> {
    const port = await freePort()
    const errors = await open(join(options.folder, `${options.firmware}-qemu.log`), 'w')
    try {
      const qemu = spawn('qemu-system-x86_64', await qemuArguments(options, port), {
        stdio: ['ignore', errors.fd, errors.fd],
      })
      await once(qemu, 'spawn')
      return new Machine(options, port, qemu)
    } finally {
      await errors.close()
    }
  }

  /** Seconds since the machine was switched on. */
  get seconds(): number {
    return (performance.now() - this.#startedMs) / 1000
  }

  /** What the guest wrote to its first serial port. */
  serialLog(): Promise<string> {
    return readFile(this.serialLogPath, 'utf8').catch(() => '')
  }

  /** Runs a command as root; throws when it fails. */
  async ssh(command: string): Promise<string> {
    const { stdout } = await run(['ssh', ...this.#sshArguments(), 'root@127.0.0.1', command])
    return stdout
  }

  /** Waits until SSH answers; throws, with the end of the serial log, when it does not in time. */
  async waitForSsh(timeoutSeconds: number): Promise<void> {
    const deadline = performance.now() + timeoutSeconds * 1000
    while (performance.now() < deadline && this.#qemu.exitCode === null) {
      const { status } = await run(['ssh', ...this.#sshArguments(), 'root@127.0.0.1', 'true'], {
        statuses: [0, 255],
      })
      if (status === 0) return
      await sleep(1000)
    }
    const end = (await this.serialLog()).slice(-2000)
    throw new Error(`no SSH within ${timeoutSeconds} s; the serial log ends with:\n${end}`)
  }

  /** Presses the power button and waits until the guest has shut down. */
  async powerOff(timeoutSeconds: number): Promise<void> {
    const qmp = await Qmp.connect(qmpSocket(this.#options))
    try {
      await qmp.execute('system_powerdown')
      const timer = sleep(timeoutSeconds * 1000, 'late' as const, { ref: false })
      const outcome = await Promise.race([timer, this.#ended()])
      if (outcome === 'late') throw new Error(`still running after ${timeoutSeconds} s`)
    } finally {
      qmp.close()
    }
  }

  /** Cuts the power. What QEMU was told to write is in the page cache, so it is not lost. */
  async cutPower(): Promise<void> {
    if (this.#qemu.exitCode === null && this.#qemu.signalCode === null) {
      const ended = this.#ended()
      this.#qemu.kill('SIGKILL')
      await ended
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cutPower()
  }

  async #ended(): Promise<void> {
    if (this.#qemu.exitCode === null && this.#qemu.signalCode === null) {
      await once(this.#qemu, 'exit')
    }
  }

  #sshArguments(): string[] {
    const { folder, sshKey } = this.#options
    const settings = [
      'BatchMode=yes',
      'ConnectTimeout=10',
      'StrictHostKeyChecking=accept-new',
      'LogLevel=ERROR',
      `UserKnownHostsFile=${join(folder, 'known_hosts')}`,
      `IdentityFile=${sshKey}`,
      'IdentitiesOnly=yes',
    ]
    const options = settings.flatMap((setting) => ['-o', setting])
    return ['-F', 'none', '-p', String(this.#port), ...options]
  }
}

const serialLog = ({ folder, firmware }: MachineOptions): string =>
  join(folder, `${firmware}-serial.log`)
const qmpSocket = ({ folder, firmware }: MachineOptions): string =>
  join(folder, `${firmware}-qmp.sock`)

async function qemuArguments(options: MachineOptions, port: number): Promise<string[]> {
  const { disks, keepDisks, memoryMib = 1024, processors = 1 } = options
  return [
    ...['-accel', 'tcg,thread=multi', '-smp', String(processors), '-m', String(memoryMib)],
    ...['-display', 'none', '-monitor', 'none', '-no-user-config'],
    ...['-serial', `file:${serialLog(options)}`],
    ...['-qmp', `unix:${qmpSocket(options)},server=on,wait=off`],
    ...['-nic', `user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:${port}-:22`],
    ...['-device', 'virtio-rng-pci'],
    ...disks.flatMap(({ path, serial, sectorBytes = 512 }, i) => [
      '-drive',
      `if=none,id=disk${i},format=raw,snapshot=${keepDisks ? 'off' : 'on'},file=${path}`,
      '-device',
      `virtio-blk-pci,drive=disk${i},serial=${serial},bootindex=${i + 1},` +
        `logical_block_size=${sectorBytes},physical_block_size=${sectorBytes}`,
    ]),
    ...(options.firmware === 'uefi' ? await ovmfArguments(options) : []),
  ]
}

async function ovmfArguments({ folder }: MachineOptions): Promise<string[]> {
  const variables = join(folder, 'ovmf-vars.fd')
  await copyFile(OVMF_VARS, variables)
  const flash = 'if=pflash,format=raw'
  return [
    ...['-machine', 'q35'],
    ...['-drive', `${flash},readonly=on,file=${OVMF_CODE}`],
    ...['-drive', `${flash},file=${variables}`],
  ]
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (typeof address !== 'object' || address === null) throw new Error('no free port')
  return address.port
}
