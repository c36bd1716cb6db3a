/**
 * What `osflash inspect` does.
 *
 * 1. Describes; believes nothing.
 * 2. Text for people, `--json` for machines: the same facts.
 */
import { openSource } from '../../deliver/open.ts'
import { formatBytes } from '../../units.ts'
import { describeImage, type ImageDescription } from '../../unpack/inspect.ts'
import { counted } from '../count.ts'
import type { VerbContext } from '../verb.ts'

/** @throws OsflashError `io`, `format`, `limit`, `digest` */
export async function inspect(path: string, context: VerbContext): Promise<void> {
  await using source = await openSource(path, { signal: context.signal })
  const description = await describeImage(source)
  context.stdout.write(
    context.json ? `${JSON.stringify(description)}\n` : renderDescription(description),
  )
}

/** The description as text, a fact a line. */
function renderDescription(image: ImageDescription): string {
  const { manifest } = image
  const lines = [
    `${image.path}: ${manifest.name}, sequence ${manifest.sequence}, ` +
      `made ${shortTime(manifest.created)}`,
    `  size       ${formatBytes(image.imageBytes)}`,
    `  system     ${systemText(image)}`,
    `  sealed     AES-256 ${manifest.encryption.aead.toUpperCase()}`,
    ...(manifest.expires === undefined ? [] : [`  expires    ${shortTime(manifest.expires)}`]),
    ...image.recipients.map((one) => `  recipient  ${one.name ?? '(not named)'}`),
    ...image.signers.map((one) => `  signer     ${one.issuer ?? '(not named)'} (not checked)`),
    ...diskLines(image),
    ...payloadLines(image),
  ]
  return `${lines.join('\n')}\n`
}

/** Milliseconds that are none only make a time harder to read. */
const shortTime = (time: string): string => time.replace(/\.0+Z$/, 'Z')

function systemText({ manifest }: ImageDescription): string {
  const { os } = manifest
  const title = os.title ?? ([os.id, os.version].filter(Boolean).join(' ') || os.family)
  const firmware = manifest.firmware.join(' and ')
  return `${title}, ${manifest.architecture}${firmware === '' ? '' : `, boots under ${firmware}`}`
}

function diskLines({ manifest: { disk } }: ImageDescription): string[] {
  if (disk === undefined) return []
  const { table, sectorBytes, minimumBytes } = disk
  const least = formatBytes(minimumBytes)
  const head = `  disk       ${table.kind}, from ${least}, sectors of ${sectorBytes} bytes`
  const partitions = disk.partitions.map((partition) => {
    const bytes = formatBytes(partition.sectors * sectorBytes).padStart(9)
    const kind = partition.fileSystem?.kind ?? '-'
    const grows = partition.grow ? ', grows' : ''
    const number = String(partition.number).padStart(2)
    return `    ${number}  ${bytes}  ${kind.padEnd(9)} ${partition.name}${grows}`
  })
  return [head, ...partitions]
}

function payloadLines(image: ImageDescription): string[] {
  return image.payloads.flatMap((payload) => [
    `  payload    ${payload.name}: ${formatBytes(payload.rawBytes)} in ` +
      `${counted(payload.frames, 'frame')}, ${counted(payload.segments, 'segment')}`,
    `    data ${formatBytes(payload.dataBytes)}, zero ${formatBytes(payload.zeroBytes)}, ` +
      `unused ${formatBytes(payload.unusedBytes)}`,
    `    packed ${formatBytes(payload.packedBytes)} ` +
      `(${payload.codec}, ${payload.ratio.toFixed(2)} : 1)`,
    `    index ${payload.indexDigest}`,
  ])
}
