/** Renews docs/manifest.schema.json from the program: `node scripts/manifest-schema.ts`. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { manifestSchema } from '../src/format/manifest.ts'

const schema = { title: 'osflash manifest', ...z.toJSONSchema(manifestSchema) }
const path = join(import.meta.dirname, '..', 'docs', 'manifest.schema.json')
await writeFile(path, `${JSON.stringify(schema, null, 2)}\n`)
