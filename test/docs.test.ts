import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { command as account } from '../src/cli/account.js'
import { command as config } from '../src/cli/config.js'
import { command as deploy } from '../src/cli/deploy.js'
import { command as doctor } from '../src/cli/doctor.js'
import { command as forget } from '../src/cli/forget.js'
import { command as history } from '../src/cli/history.js'
import { command as hook } from '../src/cli/hook.js'
import { command as https } from '../src/cli/https.js'
import { command as issueAndDeploy } from '../src/cli/issue-and-deploy.js'
import { command as notify } from '../src/cli/notify.js'
import { command as policy } from '../src/cli/policy.js'
import { command as pull } from '../src/cli/pull.js'
import { command as renew } from '../src/cli/renew.js'
import { command as revoke } from '../src/cli/revoke.js'
import { command as rollback } from '../src/cli/rollback.js'
import { command as status } from '../src/cli/status.js'
import { command as sync } from '../src/cli/sync.js'
import { command as verify } from '../src/cli/verify.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const pages = ['README.md', 'ARCHITECTURE.md', ...readdirSync(join(root, 'docs')).map((page) => `docs/${page}`)]
const read = (page: string): string => readFileSync(join(root, page), 'utf8')

t.test('every flag that the documents name exists', async (t) => {
  const known = new Set(
    [
      ...[account, config, deploy, doctor, forget, history, hook, https, issueAndDeploy, notify, policy, pull],
      ...[renew, revoke, rollback, status, sync, verify],
    ].flatMap(({ flags }) => Object.keys(flags)),
  )
  const usage = /^usage\(\) \{[\s\S]*?^\}/m.exec(read('install.sh'))?.[0] ?? ''
  const ofInstaller = new Set([...usage.matchAll(/--([a-z][a-z.-]*)/g)].map(([, flag]) => flag))
  // Of the clients that call us.
  const theirs = [
    'method',
    'deploy-hook',
    'run-hook',
    'renew-hook',
    'install-cert',
    'reloadcmd',
    'ecc',
    'keep-going',
    'deploy',
  ]
  for (const page of pages) {
    for (const [, flag = ''] of read(page).matchAll(/(?<![\w-])--([a-z][a-z0-9.-]*[a-z0-9])/g)) {
      t.ok([...known, ...ofInstaller, ...theirs].includes(flag), `${page}: --${flag}`)
    }
  }
})

/** As GitHub calls them. */
const anchors = (page: string): string[] =>
  [...read(page).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_\- ]/gu, '')
      .replaceAll(' ', '-'),
  )

t.test('every link within the documents leads somewhere', async (t) => {
  for (const page of pages) {
    for (const [, target = '', anchor] of read(page).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)) {
      const to = target === '' ? page : join(page, '..', target)
      t.doesNotThrow(() => read(to), `${page}: ${target}`)
      if (anchor !== undefined) t.ok(anchors(to).includes(anchor), `${page}: ${target}#${anchor}`)
    }
  }
})

t.test('every error code is documented', async (t) => {
  const codes = [...read('src/errors.ts').matchAll(/'([A-Z][A-Z0-9_]+)'/g)].map(([, code]) => code as string)
  t.ok(codes.length > 30)
  for (const code of codes) t.match(read('docs/json.md'), new RegExp(`\`${code}\``), code)
})
