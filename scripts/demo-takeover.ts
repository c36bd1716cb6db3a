/**
 * `npm run demo -- takeover`: Debian 12 becomes Debian 13 on a host with two disks, watched from
 * outside.
 *
 * 1. The host is a virtual machine under SeaBIOS; images come over HTTP, encrypted and signed.
 * 2. Shown are the plan, each state as the host tells it, and where the time went.
 * 3. On a terminal the new system is left running for an SSH session, until Ctrl-C.
 */
import { once } from 'node:events'
import { join } from 'node:path'
import { run } from '../src/system/run.ts'
import { formatDuration } from '../src/units.ts'
import { beginWith, bootFirstOs, takeOver, timeTable } from '../test/e2e/takeover.ts'

const say = (text: string): void => void process.stdout.write(`${text}\n`)
const stop = new AbortController()
process.once('SIGINT', () => stop.abort())
process.once('SIGTERM', () => stop.abort())

say('== build the bundle and the images, or take those of an earlier run')
await run([process.execPath, join(import.meta.dirname, 'bundle.ts')])
await using began = await beginWith({ name: 'demo-takeover', firmware: 'bios' })
stop.signal.addEventListener('abort', () => void began.host.cutPower())
say('== start the first OS, and bring it the program')
await bootFirstOs(began)
say('== osflash plan, osflash apply')
const takeover = await takeOver(began, {
  onStep: (text) => say(`[${formatDuration(began.host.seconds).padStart(13)}] ${text}`),
})
const { before, after } = takeover
say(`\nbefore  ${before.release}, ${before.hostname}, ${before.addresses}`)
say(`after   ${after.release}, ${after.hostname}, ${after.addresses}`)
say(`host keys ${before.hostKeys === after.hostKeys ? 'as before' : 'CHANGED'}`)
say(`\nwhere the time went\n${timeTable(takeover.times)}`)
if (process.stdout.isTTY && process.env.CI === undefined) {
  const { keys, machine } = began.host
  say('the new system runs; Ctrl-C ends it:')
  say(`  ssh -p ${machine.sshPort} -i ${keys.login} root@127.0.0.1`)
  if (!stop.signal.aborted) await once(stop.signal, 'abort')
}
