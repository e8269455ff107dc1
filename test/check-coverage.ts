import { readFileSync } from 'node:fs'

// After all tests: every line of certificate/ was run (the coverage map names the files).
type Summary = Readonly<Record<string, { readonly lines: { readonly total: number; readonly covered: number } }>>
const { total, ...files } = JSON.parse(readFileSync('.tap/report/coverage-summary.json', 'utf8')) as Summary
const lacking = Object.entries(files).filter(([, { lines }]) => lines.covered < lines.total)
for (const [file, { lines }] of lacking)
  process.stderr.write(`${file}: ${lines.total - lines.covered} lines are never run\n`)
if (lacking.length > 0 || total === undefined || total.lines.total === 0) process.exit(1)
process.stdout.write(`certificate/: all ${total.lines.total} lines covered\n`)
