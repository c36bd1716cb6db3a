/**
 * A virtual machine that really boots: QEMU without KVM, SeaBIOS or OVMF, SSH over loopback.
 *
 * 1. Disks are virtio with serial numbers, in the order that the guest finds them; with
 *    `keepDisks: false` what the guest writes is thrown away at the end.
 * 2. A folder is a machine: OVMF's variables stay in it, so boot entries outlast a power cut, and
 *    the machine can be switched on again.
 * 3. The first serial port goes to a file, one start after the other: the place to look when
 *    something does not boot.
 * 4. SSH goes to the address that DHCP gives, or to the one named: then its answer proves it.
 * 5. A reset of a machine that keeps its disks is another QEMU in the same place. Within one, the
 *    translator keeps what it made of the last system; OVMF's stack may come to lie where that was,
 *    then each write to it takes so long that the firmware's timer leaves time for nothing else.
 * 6. `await using` ends QEMU by its process id, also when a test fails; it ends with this process
 *    when that is killed.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, open, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Argv, run } from '../../src/system/run.ts'
import { freePort } from './free-port.ts'
import { type MachineOptions, qemuArguments, qmpSocket, serialLog } from './qemu-arguments.ts'
import { Qmp, type QmpEvent } from './qmp.ts'

export interface CommandOutcome {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** What stands in the serial log where the machine was switched on. */
const POWER_ON = '---- power on ----'
const HOST_ALIAS = 'guest'
const PRESS_AGAIN_MS = 20_000
const OFF_POLL_MS = 200
/** ssh's own failures; a command's status is another one. */
const SSH_FAILED = 255
const QEMU = 'qemu-system-x86_64'

interface Running {
  readonly child: ChildProcess
  readonly qmp: Qmp
  readonly isThere: () => boolean
}

export class Machine implements AsyncDisposable {
  readonly serialLogPath: string
  readonly #options: MachineOptions
  readonly #port: number
  readonly #onMs = performance.now()
  #qemu: Running | null = null
  /** The next QEMU is on its way. */
  #resetting: Promise<void> = Promise.resolve()
  /** The guest has shut down, or the power is cut. */
  #isOff = false
  #starts = 0
  #startedMs = 0

  private constructor(options: MachineOptions, port: number) {
    this.#options = options
    this.#port = port
    this.serialLogPath = serialLog(options)
  }

  /** Switches the machine on. */
  static async start(options: MachineOptions): Promise<Machine> {
    const port = await freePort()
    await appendFile(serialLog(options), `${POWER_ON}\n`)
    if (options.hostKey !== undefined) {
      await writeFile(knownHosts(options), `${HOST_ALIAS} ${options.hostKey}\n`)
    }
    const machine = new Machine(options, port)
    await machine.#run(false)
    return machine
  }

  /** Seconds since the machine was switched on. */
  get seconds(): number {
    return (performance.now() - this.#onMs) / 1000
  }

  /** What the guest wrote to its first serial port. */
  serialLog(): Promise<string> {
    return readFile(this.serialLogPath, 'utf8').catch(() => '')
  }

  /** The port of the loopback that leads to the guest's sshd. */
  get sshPort(): number {
    return this.#port
  }

  /** When it was switched on or reset last; milliseconds as of `performance.now()`. */
  get startedMs(): number {
    return this.#startedMs
  }

  /** How often it was switched on, or reset with `keepDisks`: within one the same system runs. */
  get starts(): number {
    return this.#starts
  }

  /** False once the guest has shut down, or QEMU has ended. */
  get isOn(): boolean {
    return !this.#isOff
  }

  /** Runs a command as root; throws when it fails. */
  async ssh(command: string, stdin: Uint8Array = new Uint8Array()): Promise<string> {
    const { stdout } = await run(this.#sshArgv(command), { stdin })
    return stdout
  }

  /** Runs a command as root; null when SSH did not answer, or was cut. */
  async tryCommand(command: string): Promise<CommandOutcome | null> {
    const statuses = Array.from({ length: 256 }, (_, status) => status)
    const { status, stdout, stderrTail } = await run(this.#sshArgv(command), { statuses })
    return status === SSH_FAILED ? null : { status, stdout, stderr: stderrTail }
  }

  /** Waits until SSH answers; throws, with the end of the serial log, when it does not in time. */
  async waitForSsh(timeoutSeconds: number): Promise<void> {
    const deadline = performance.now() + timeoutSeconds * 1000
    while (performance.now() < deadline && this.isOn) {
      if ((await this.tryCommand('true'))?.status === 0) return
      await sleep(1000)
    }
    const end = (await this.serialLog()).slice(-2000)
    throw new Error(`no SSH within ${timeoutSeconds} s; the serial log ends with:\n${end}`)
  }

  /** The guest stands still while `work` looks at its disks, without what was not flushed. */
  async standingStill(work: () => Promise<void>): Promise<void> {
    await this.#qemu?.qmp.execute('stop')
    await work()
    await this.#qemu?.qmp.execute('cont')
  }

  /** Presses the reset button. */
  async reset(): Promise<void> {
    await this.#qemu?.qmp.execute('system_reset')
  }

  /**
   * Presses the power button and waits until the guest has shut down. Again after a while: SSH may
   * answer before anybody in the guest listens to the button.
   */
  async powerOff(timeoutSeconds: number): Promise<void> {
    const began = performance.now()
    for (let pressed = -PRESS_AGAIN_MS; this.isOn; ) {
      const waited = performance.now() - began
      if (waited > timeoutSeconds * 1000) throw new Error(`still on after ${timeoutSeconds} s`)
      if (waited - pressed >= PRESS_AGAIN_MS) {
        await this.#qemu?.qmp.execute('system_powerdown')
        pressed = waited
      }
      await sleep(OFF_POLL_MS)
    }
    await this.cutPower()
  }

  /** Cuts the power. What QEMU was told to write is in the page cache, so it is not lost. */
  async cutPower(): Promise<void> {
    this.#isOff = true
    await this.#resetting
    await this.#end()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cutPower()
  }

  /** @param isReset what was recorded before stays */
  async #run(isReset: boolean): Promise<void> {
    const { folder, firmware } = this.#options
    const errors = await open(join(folder, `${firmware}-qemu.log`), 'w')
    try {
      await rm(qmpSocket(this.#options), { force: true })
      const words = await qemuArguments(this.#options, this.#port, isReset)
      const argv = ['--pdeathsig', 'KILL', QEMU, ...words]
      const child = spawn('setpriv', argv, { stdio: ['ignore', errors.fd, errors.fd] })
      await once(child, 'spawn')
      const isThere = () => child.exitCode === null && child.signalCode === null
      child.on('exit', () => {
        if (this.#qemu?.child === child) this.#isOff = true
      })
      const take = (event: QmpEvent) => this.#take(event)
      const connecting = Qmp.connect(qmpSocket(this.#options), take, isThere)
      const qmp = await connecting.catch(async (cause: unknown) => {
        // Nobody else knows it yet.
        child.kill('SIGKILL')
        const said = await readFile(join(folder, `${firmware}-qemu.log`), 'utf8')
        throw new Error(`QEMU did not start: ${said}`, { cause })
      })
      this.#qemu = { child, qmp, isThere }
      this.#starts += 1
      this.#startedMs = performance.now()
      if (!isThere()) this.#isOff = true
    } finally {
      await errors.close()
    }
  }

  #take({ event, data }: QmpEvent): void {
    if (event !== 'SHUTDOWN') return
    if (data?.reason?.endsWith('-reset') !== true) this.#isOff = true
    else if (!this.#isOff) this.#resetting = this.#runAgain()
  }

  async #runAgain(): Promise<void> {
    try {
      await this.#end()
      if (!this.#isOff) await this.#run(true)
    } catch (error) {
      this.#isOff = true
      await appendFile(this.serialLogPath, `---- not switched on again: ${String(error)} ----\n`)
    }
  }

  async #end(): Promise<void> {
    const running = this.#qemu
    this.#qemu = null
    if (running === null) return
    running.qmp.close()
    if (!running.isThere()) return
    const ended = once(running.child, 'exit')
    running.child.kill('SIGKILL')
    await ended
  }

  #sshArgv(command: string): Argv {
    const { sshKey, hostKey } = this.#options
    const settings = [
      'BatchMode=yes',
      'ConnectTimeout=10',
      'ServerAliveInterval=15',
      'ServerAliveCountMax=8',
      `StrictHostKeyChecking=${hostKey === undefined ? 'accept-new' : 'yes'}`,
      `HostKeyAlias=${HOST_ALIAS}`,
      'LogLevel=ERROR',
      // The usual one takes a second of a guest without KVM.
      'KexAlgorithms=curve25519-sha256',
      `UserKnownHostsFile=${knownHosts(this.#options)}`,
      `IdentityFile=${sshKey}`,
      'IdentitiesOnly=yes',
    ]
    const options = settings.flatMap((setting) => ['-o', setting])
    return ['ssh', '-F', 'none', '-p', String(this.#port), ...options, 'root@127.0.0.1', command]
  }
}

const knownHosts = ({ folder }: MachineOptions): string => join(folder, 'known_hosts')
