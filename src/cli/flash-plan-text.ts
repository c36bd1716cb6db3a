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
  const on = (one: DiskIdentity): Victim[] => victims.filter(({ path }) => isOn(path, one.path))
  const elsewhere = victims.filter((one) => ![...on(disk), ...on(stage)].includes(one))
  const list = (found: readonly Victim[]): string[] =>
    found.length === 0 ? ['  (blank)'] : found.map((victim) => `  ${victimText(victim)}`)
  return [
    `disk   ${diskText(disk)}, with everything on it`,
    ...list([...on(disk), ...elsewhere]),
    `stage  ${diskText(stage)}, with everything on it`,
    ...list(on(stage)),
  ]
}

/** `/dev/sda1` is on `/dev/sda`, `/dev/sdaa` is not. */
const isOn = (path: string, disk: string): boolean =>
  path.startsWith(disk) && /^(p?\d+)?$/.test(path.slice(disk.length))

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
    ...imageLines('stage  rescue', rescue),
    `stage  store of ${formatBytes(store.bytes)}: the packed target, the carry, the journal`,
    ...imageLines('disk   target', target),
  ]
}

function imageLines(place: string, image: ImageFacts): string[] {
  const { name, sequence, bytes, dataBytes, location } = image
  const size = `${formatBytes(bytes)} packed, ${formatBytes(dataBytes)} to write`
  return [`${place} ${name}, sequence ${sequence}: ${size}`, `       from ${location}`]
}

function startLines({ arm, host, go, confirm }: FlashPlan): string[] {
  const bios = host.firmware === 'bios'
  const once =
    arm.kind === 'grub' ? `next_entry of the GRUB in ${arm.folder}` : 'BootNext of the firmware'
  const guard = bios
    ? 'sector 0 of the disk starts the boot loader of the stage'
    : 'the rescue is first in BootOrder'
  const trial = bios ? 'the boot loader of the stage' : 'BootNext of the firmware'
  return [
    `rescue   once, by ${once}`,
    '         else this system starts again',
    `go       ${goText(go)}`,
    `guard    ${guard}`,
    '         from here on every boot ends in the rescue: the point of no return',
    `target   once, on trial, by ${trial}`,
    '         else the rescue starts and holds, with SSH open',
    `confirm  ${confirmText(confirm)}`,
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

const watchdogLines = (watchdog: string): string[] => [
  `a system that hangs once it has opened the watchdog ${watchdog} is reset;`,
  'a hang before a system has opened the watchdog stays until a reset',
]

function timeLines({ steps, awaySeconds, watchdog, notify }: FlashPlan): string[] {
  const total = steps.reduce((sum, { seconds }) => sum + seconds, 0)
  const width = 12
  return [
    ...steps.map(({ what, seconds }) => `${formatDuration(seconds).padEnd(width)} ${what}`),
    `about ${formatDuration(total)} in all, ${formatDuration(awaySeconds)} of it away`,
    ...(watchdog === undefined ? [] : watchdogLines(watchdog)),
    ...(notify === undefined
      ? []
      : [`each state is told to ${URL.parse(notify)?.host ?? 'nobody'}`]),
  ]
}
