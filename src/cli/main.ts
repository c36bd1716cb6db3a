/**
 * The entry.
 *
 * 1. Code that V8 compiled in an earlier run is used again (code-cache.ts).
 * 2. Only then the program itself is loaded: what is loaded before is compiled each time.
 */
import { join } from 'node:path'
import { useCodeCache } from './code-cache.ts'

// Two folders up from src/cli in a checkout, and from dist/cli in a package.
useCodeCache(join(import.meta.dirname, '../..'))
await import('./start.ts')
