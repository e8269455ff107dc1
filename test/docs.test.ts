import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { command as deploy } from '../src/cli/deploy.js'
import { command as issueAndDeploy } from '../src/cli/issue-and-deploy.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const pages = ['README.md', 'ARCHITECTURE.md', ...readdirSync(join(root, 'docs')).map((page) => `docs/${page}`)]
const read = (page: string): string => readFileSync(join(root, page), 'utf8')

t.test('every flag that the documents name exists', async (t) => {
  const known = new Set([...Object.keys(deploy.flags), ...Object.keys(issueAndDeploy.flags)])
  const ofInstaller = new Set(['demo', 'test', 'uninstall', 'prefix'])
  for (const page of pages) {
    for (const [, flag = ''] of read(page).matchAll(/(?<![\w-])--([a-z][a-z-]*)/g)) {
      t.ok(known.has(flag) || ofInstaller.has(flag), `${page}: --${flag}`)
    }
  }
})

t.test('every link within the documents leads somewhere', async (t) => {
  for (const page of pages) {
    for (const [, target = ''] of read(page).matchAll(/\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)/g)) {
      t.doesNotThrow(() => read(join(page, '..', target)), `${page}: ${target}`)
    }
  }
})

t.test('every error code is documented', async (t) => {
  const codes = [...read('src/errors.ts').matchAll(/'([A-Z][A-Z0-9_]+)'/g)].map(([, code]) => code as string)
  t.ok(codes.length > 30)
  for (const code of codes) t.match(read('docs/json.md'), new RegExp(`\`${code}\``), code)
})
