/**
 * The main job on real input: from a recipe to a disk that boots under BIOS and under UEFI.
 *
 * 1. Keys, recipe, image, inspection, verification, disk: each by the command that a user types.
 * 2. The disk boots in QEMU, first under SeaBIOS, then under OVMF, until SSH answers.
 * 3. At the end a table says where the time went. Everything lies in build/demo, and no process
 *    is left.
 *
 * `npm run demo -- takeover` is another one: demo-takeover.ts.
 */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../src/system/run.ts'
import { formatBytes, formatDuration } from '../src/units.ts'
import { Machine } from '../test/boot/machine.ts'

const folder = join(import.meta.dirname, '..', 'build', 'demo')
const osflash = join(import.meta.dirname, '..', 'bin', 'osflash')
const recipe = '../../recipes/debian-13.yaml'
const HOST_NAME = 'demo'
const BOOT_TIMEOUT_SECONDS = 360

const cancel = new AbortController()

interface Step {
  readonly what: string
  readonly seconds: number
}
const steps: Step[] = []

async function step(what: string, work: () => Promise<void>): Promise<void> {
  const startMs = performance.now()
  process.stdout.write(`\n== ${what}\n`)
  await work()
  steps.push({ what, seconds: (performance.now() - startMs) / 1000 })
}

/** Runs osflash as a user would, and shows the command and what it prints. */
async function command(...words: string[]): Promise<void> {
  process.stdout.write(`$ osflash ${words.map(shown).join(' ')}\n`)
  const { stdout } = await run([osflash, ...words], {
    cwd: folder,
    signal: cancel.signal,
    onStderr: (text) => process.stdout.write(text),
  })
  process.stdout.write(stdout)
}

const shown = (word: string): string => (/[^\w./=-]/.test(word) ? `'${word}'` : word)
const reading = ['--trust', 'keys/signer.pub', '--identity', 'keys/recipient.key']
const sshKey = join(folder, 'login')

async function build(): Promise<void> {
  await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'demo', '-f', sshKey])
  const { stdout } = await run(['cat', `${sshKey}.pub`])
  const sealing = ['--recipient', 'keys/recipient.pub', '--sign-with', 'keys/signer.key']
  const login = `access.root-authorized-keys=["${stdout.trim()}"]`
  const settings = ['--set', login, '--set', `customise.hostname=${HOST_NAME}`]
  await command('build', recipe, '-o', 'debian-13.osimg', ...sealing, ...settings)
}

async function boot(firmware: 'bios' | 'uefi'): Promise<void> {
  const disks = [{ path: join(folder, 'disk.img'), serial: 'DEMO0001' }]
  await using machine = await Machine.start({ firmware, disks, folder, sshKey, keepDisks: false })
  const stop = () => void machine.cutPower()
  cancel.signal.addEventListener('abort', stop)
  await machine.waitForSsh(BOOT_TIMEOUT_SECONDS)
  cancel.signal.removeEventListener('abort', stop)
  const release = await machine.ssh('. /etc/os-release; echo "$ID $VERSION_ID"')
  const facts = await machine.ssh('hostname; uname -r; df --output=size -B1 / | tail -n 1')
  const [host = '', kernel = '', rootBytes = ''] = facts.split('\n')
  const firmwareSeen = await machine.ssh('[ -d /sys/firmware/efi ] && echo uefi || echo bios')
  const answer = `${release.trim()} ${host} ${firmwareSeen.trim()}`
  process.stdout.write(
    `SSH answered ${formatDuration(machine.seconds)} after power-on: ${answer}, ` +
      `kernel ${kernel}, root ${formatBytes(Number(rootBytes))}\n`,
  )
  const expected = `debian 13 ${HOST_NAME} ${firmware}`
  if (answer !== expected) throw new Error(`expected "${expected}", got "${answer}"`)
  if (Number(rootBytes) < 3 * 2 ** 30) throw new Error('the root file system did not grow')
  await rm(join(folder, 'known_hosts'), { force: true })
}

function table(): string {
  const total = steps.reduce((sum, { seconds }) => sum + seconds, 0)
  const row = (what: string, seconds: number): string =>
    `  ${what.padEnd(34)} ${formatDuration(seconds).padStart(12)}\n`
  const rows = steps.map(({ what, seconds }) => row(what, seconds))
  return `\nwhere the time went\n${rows.join('')}${row('in all', total)}`
}

async function imageDemo(): Promise<void> {
  process.once('SIGINT', () => cancel.abort())
  process.once('SIGTERM', () => cancel.abort())
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await step('make keys', () => command('keygen', '--out', 'keys', '--name', 'osflash demo'))
  await step('build Debian 13 from its recipe', build)
  await step('inspect', () => command('inspect', 'debian-13.osimg'))
  await step('verify every frame', () => command('verify', 'debian-13.osimg', ...reading))
  await step('unpack to a disk of 4 GiB', () => {
    const disk = ['--to', 'disk.img', '--size', '4GiB', '--verify']
    return command('unpack', 'debian-13.osimg', ...disk, ...reading)
  })
  await step('boot under BIOS', () => boot('bios'))
  await step('boot under UEFI', () => boot('uefi'))
  process.stdout.write(table())
}

if (process.argv[2] === 'takeover') await import('./demo-takeover.ts')
else await imageDemo()
