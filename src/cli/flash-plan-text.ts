/**
 * The plan of a replacement, as an operator reads it before saying yes.
 *
 * 1. What is erased, what goes where, how each start is done, what is carried, how long it takes,
 *    what remains at risk. In that order: what cannot be undone comes first.
 * 2. Disks by serial number and size; names of the kernel only to help the eye.
 * 3. The address of `--notify` may hold a token, so only its host is shown.
 */
import type { DiskIdentity, FlashPlan, ImageFacts, Victim } from '../flash/plan/plan.ts'
import { formatBytes, formatDuration } from '../units.ts'

/** Lines of text, the last one ended. */
export function renderFlashPlan(plan: FlashPlan): string {
  const { host, target } = plan
  const lines = [
    `${host.hostname}: ${host.os} becomes ${titleOf(target)}`,
    ...section('erased', erasedLines(plan)),
    ...section('written', writtenLines(plan)),
    ...section('started', startLines(plan)),
    ...section('carried', carryLines(plan.carry)),
    ...section('time', timeLines(plan)),
    ...section('at risk', plan.risks),
  ]
  return `${lines.join('\n')}\n`
}

const section = (name: string, lines: readonly string[]): string[] => [
  '',
  `${name}:`,
  ...lines.map((line) => `  ${line}`),
]

function erasedLines({ disk, stage, victims }: FlashPlan): string[] {
  const on = (one: DiskIdentity): string[] => {
    const found = victims.filter(({ path }) => path.startsWith(one.path))
    return found.length === 0 ? ['  (blank)'] : found.map((victim) => `  ${victimText(victim)}`)
  }
  const known = [disk, stage].map(({ path }) => path)
  const others = victims.filter(({ path }) => !known.some((one) => path.startsWith(one)))
  return [
    `disk   ${diskText(disk)}, with everything on it`,
    ...on(disk),
    ...others.map((victim) => `  ${victimText(victim)}`),
    `stage  ${diskText(stage)}, with everything on it`,
    ...on(stage),
  ]
}

function diskText({ serial, wwn, bytes, model, path }: DiskIdentity): string {
  const about = model === undefined ? path : `${model}, ${path}`
  return `${serial ?? wwn ?? 'without a number'}  ${formatBytes(bytes)} (${about})`
}

function victimText({ path, bytes, content, label, mountPoint }: Victim): string {
  const what = [content ?? 'no file system', label === undefined ? '' : `label ${label}`]
  const where = mountPoint === undefined || mountPoint === 'none' ? '' : `on ${mountPoint}`
  return [path, formatBytes(bytes), ...what, where].filter((word) => word !== '').join('  ')
}

const titleOf = ({ title, name }: ImageFacts): string => title ?? name

function writtenLines({ rescue, target, store }: FlashPlan): string[] {
  return [
    `stage  ${imageText('rescue', rescue)}`,
    `stage  store of ${formatBytes(store.bytes)}: the packed target, the carry, the journal`,
    `disk   ${imageText('target', target)}`,
  ]
}

function imageText(role: string, image: ImageFacts): string {
  const { name, sequence, bytes, dataBytes, location } = image
  const size = `${formatBytes(bytes)} packed, ${formatBytes(dataBytes)} to write`
  return `${role} ${name}, sequence ${sequence}, from ${location} (${size})`
}

function startLines({ arm, host, go, confirm }: FlashPlan): string[] {
  const bios = host.firmware === 'bios'
  const once =
    arm.kind === 'grub' ? `next_entry of the GRUB in ${arm.folder}` : 'BootNext of the firmware'
  const guard = bios
    ? 'sector 0 of the disk starts the boot loader of the stage'
    : 'the rescue is first in BootOrder'
  const trial = bios ? 'the boot loader of the stage starts it' : 'BootNext of the firmware'
  return [
    `rescue  once, by ${once}; if it does not come up, this system starts again`,
    `go      ${goText(go)}`,
    `guard   ${guard}: the point of no return`,
    `target  once, on trial: ${trial}; if it does not prove itself, the rescue starts and holds`,
    `confirm ${confirmText(confirm)}`,
  ]
}

function goText({ how, withinSeconds }: FlashPlan['go']): string {
  if (how === 'auto') return 'by itself, when the rescue is reached as this host is'
  return `osflash go in the rescue, within ${formatDuration(withinSeconds)}; else back here`
}

function confirmText({ how, withinSeconds }: FlashPlan['confirm']): string {
  const within = formatDuration(withinSeconds)
  if (how === 'none') return 'nobody: the target counts as good before it starts'
  const who = how === 'auto' ? 'the target itself' : 'osflash-confirm in the target'
  return `${who}, within ${within}; else the rescue`
}

function carryLines(carry: FlashPlan['carry']): string[] {
  const interfaces = carry.interfaces.map(({ name, mac, addresses, dhcp }) => {
    const from = dhcp.length === 0 ? [] : [`${dhcp.join(' and ')} as offered`]
    return `network    ${name} (${mac}): ${[...addresses, ...from].join(', ') || 'no address'}`
  })
  const password = carry.hasRootPassword ? ', and the password' : ''
  return [
    `hostname   ${carry.hostname}`,
    ...interfaces,
    ...carry.gateways.map((gateway) => `gateway    ${gateway} must answer as it does now`),
    ...carry.hostKeys.map((key) => `host key   ${key}`),
    `root       ${carry.rootKeys} authorized key${carry.rootKeys === 1 ? '' : 's'}${password}`,
  ]
}

function timeLines({ steps, awaySeconds, watchdog, notify }: FlashPlan): string[] {
  const total = steps.reduce((sum, { seconds }) => sum + seconds, 0)
  const width = 12
  return [
    ...steps.map(({ what, seconds }) => `${formatDuration(seconds).padEnd(width)} ${what}`),
    `about ${formatDuration(total)} in all, ${formatDuration(awaySeconds)} of it away`,
    ...(watchdog === undefined ? [] : [`a system that hangs is reset by the watchdog ${watchdog}`]),
    ...(notify === undefined
      ? []
      : [`each state is told to ${URL.parse(notify)?.host ?? 'nobody'}`]),
  ]
}
