// `acme-oss account` and `acme-oss revoke`, at a real CA that wants account bindings.
import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import t from 'tap'
import { command as account } from '../src/cli/account.js'
import type { Command, Surroundings } from '../src/cli/command.js'
import type { Flags } from '../src/cli/flag.js'
import { parseCommand } from '../src/cli/parse.js'
import { command as revoke } from '../src/cli/revoke.js'
import { CertError, isInputError } from '../src/errors.js'
import {
  certificatesIn,
  email,
  findBelow,
  leaksIn,
  makeFolder,
  modesBelow,
  neverPrint,
  orderAt,
  standaloneFor,
  startWithPebble,
  testOutput,
} from './issue-command.js'
import { keyPem, mintAuthority, mintLeaf } from './mint.js'
import { type RunResult, runCommand } from './run-command.js'

const hmacKey = 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W'
const newEmail = 'ops@example.com'

const printed: string[] = []

/** What a command of this process throws: a process of its own for each would cost more than it tells. */
const refusal = async (state: string, [name, ...words]: readonly string[]): Promise<unknown> => {
  const run = async <F extends Flags>(command: Command<F>): Promise<unknown> => {
    const parsed = await parseCommand(command, [...words, '--state-dir', state], {})
    return await command.run(parsed.values, surroundings(), parsed)
  }
  return await (name === 'account' ? run(account) : run(revoke)).catch((error: unknown) => error)
}

const surroundings = (): Surroundings => {
  const hole = new PassThrough().resume()
  const signal = new AbortController().signal
  const process = { environment: {}, input: hole, output: hole, errors: hole, folder: '/', homeFolder: undefined }
  return { ...process, isTerminal: false, isRoot: false, userId: 1, now: () => new Date(), signal }
}

const json = ({ stdout }: RunResult) => (stdout.startsWith('{') ? JSON.parse(stdout) : { nothing: stdout })

t.test('at a CA', async (t) => {
  const [pebble, place] = await startWithPebble(t, { externalAccountBinding: { 'kid-1': hmacKey } })
  neverPrint(hmacKey)
  const hmacKeyFile = join(place.folder, 'hmac.key')
  writeFileSync(hmacKeyFile, hmacKey)
  const atCa = ['--ca', pebble.directoryUrl, '--ca-bundle', pebble.caBundle]
  const run = async (...words: readonly string[]): Promise<RunResult> => {
    const result = await runCommand([...words, '--ca-bundle', pebble.caBundle, '--state-dir', place.state, '--verbose'])
    printed.push(result.stdout, result.stderr)
    return result
  }
  /** What is known now orders without being asked for anything that an account takes. */
  const order = (name: string, ...words: readonly string[]) =>
    place.run(['-d', name, ...atCa, ...standaloneFor(pebble), ...place.toFolder, '--json', ...words])
  const accountFile = (name: string): string => findBelow(place.state, name)
  const record = (name: string) =>
    JSON.parse(readFileSync(join(place.state, 'certificates', name, 'certificate.json'), 'utf8'))
  const fullchain = (name: string): string =>
    join(place.state, 'certificates', name, record(name).current.id, 'fullchain.pem')

  const binding = ['--eab-kid', 'kid-1', '--eab-hmac-key-file', hmacKeyFile]
  const first = await place.run([
    ...[...orderAt(pebble, 'a.example.com'), ...standaloneFor(pebble), ...place.toFolder],
    ...[...binding, '--json'],
  ])
  t.equal(first.code, 0, first.stderr)

  await t.test('is shown', async (t) => {
    const shown = await run('account', 'show', '--json')
    t.equal(shown.code, 0)
    t.match(json(shown), {
      schema: 'acme-oss/1',
      command: 'account',
      ok: true,
      action: 'show',
      accounts: [
        {
          ca: new URL(pebble.directoryUrl).host,
          directory: pebble.directoryUrl,
          account: email,
          url: /^https:\/\/localhost:\d+\//,
          status: 'valid',
          contact: [`mailto:${email}`],
          orders: /^https:\/\//,
          error: null,
        },
      ],
      error: null,
    })
  })

  await t.test('gets another address', async (t) => {
    const updated = await run('account', 'update', '--email', newEmail)
    t.equal(updated.code, 0, updated.stderr)
    t.match(
      updated.stdout,
      /the account of ops@example\.com: has a new address\n {2}https:.*\n {2}mailto:ops@example\.com\n/,
    )
    t.same(readdirSync(join(accountFile('account.json'), '..', '..')).sort(), ['directory.json', 'ops%40example.com'])
  })

  await t.test('gets another key', async (t) => {
    const before = readFileSync(accountFile('/key.pem'), 'utf8')
    const rolled = await run('account', 'rollover')
    t.equal(rolled.code, 0, rolled.stderr)
    t.match(rolled.stdout, /the account of ops@example\.com: has a new key\n/)
    t.not(readFileSync(accountFile('/key.pem'), 'utf8'), before)
    t.notOk(modesBelow(place.state).some((one) => one.includes('next-key')))
    t.ok(modesBelow(place.state).some((one) => one.endsWith('/key.pem 600')))
  })

  await t.test('is found by the next order', async (t) => {
    const named = await order('b.example.com', '--email', newEmail, '--dry-run')
    t.equal(named.code, 0, named.stderr)
    const former = await order('b.example.com', '--email', email, '--dry-run')
    t.equal(former.code, 0, `by its former address, too: ${former.stderr}`)
    const strange = await order('b.example.com', '--email', 'two@example.com', '--dry-run')
    t.match(strange.json.error, { code: 'TERMS_NOT_AGREED' }, 'and by no other')
    const unnamed = await order('b.example.com')
    t.equal(unnamed.code, 0, unnamed.stderr)
    t.match(unnamed.json, { ok: true, order: { placed: true } }, 'with the new key')
  })

  await t.test('takes a certificate back', async (t) => {
    const revoked = await run('revoke', 'a.example.com', '--reason', 'keyCompromise')
    t.equal(revoked.code, 0, revoked.stderr)
    t.match(
      revoked.stderr,
      /revoking a\.example\.com \(serial [0-9A-F]+, valid until \d{4}-\d\d-\d\d\) at localhost:\d+ in the name of the account\n/,
    )
    t.match(revoked.stdout, /^a\.example\.com \(.*\): revoked \(keyCompromise\)\n/)
    t.match(revoked.stdout, /acme-oss issue-and-deploy -d a\.example\.com --force-renewal/)
    t.match(record('a.example.com').current.revokedAt, /^\d{4}-\d\d-\d\dT/)
    t.equal(record('b.example.com').current.revokedAt, undefined, 'and no other')
    const { current, ...rest } = record('a.example.com')
    t.match({ current, ...rest }, { names: ['a.example.com'], current: { directory: pebble.directoryUrl } })
  })

  await t.test('in the name of its key, without any account', async (t) => {
    const file = fullchain('b.example.com')
    const elsewhere = join(makeFolder(t), 'state')
    const key = ['--fullchain', file, '--key', file.replace('fullchain', 'privkey')]
    const revoked = await runCommand(['revoke', ...key, ...atCa, '--state-dir', elsewhere, '--json'])
    t.equal(revoked.code, 0, revoked.stderr)
    t.match(json(revoked), { ok: true, by: 'key', before: false })
    const again = await run('revoke', 'b.example.com', '--json')
    t.equal(again.code, 0, again.stderr)
    const [leaf] = certificatesIn(readFileSync(file, 'utf8'))
    t.match(json(again), {
      schema: 'acme-oss/1',
      command: 'revoke',
      ok: true,
      certificate: { name: 'b.example.com', names: ['b.example.com'], serial: leaf?.serialNumber },
      ca: new URL(pebble.directoryUrl).host,
      by: 'account',
      reason: 'unspecified',
      before: true,
      error: null,
    })
    t.ok(record('b.example.com').current.revokedAt, 'what was revoked elsewhere is marked, too')
  })

  await t.test('an account of an older version', async (t) => {
    const { url } = JSON.parse(readFileSync(accountFile('account.json'), 'utf8'))
    writeFileSync(accountFile('account.json'), JSON.stringify({ url }))
    const shown = await run('account', 'show')
    t.equal(shown.code, 0, shown.stderr)
    t.match(shown.stdout, /^localhost:\d+: the account of ops@example\.com: valid\n/)
  })

  await t.test('what cannot be done', async (t) => {
    const folder = join(accountFile('account.json'), '..')
    renameSync(folder, join(folder, '..', 'one%40example.com'))
    const other = await mintLeaf({ issuer: await mintAuthority(), names: ['other.example.com'] })
    const otherKey = join(place.folder, 'other.key')
    const authority = join(place.folder, 'authority.pem')
    writeFileSync(otherKey, keyPem(other.key, 'pkcs8'))
    writeFileSync(authority, (await mintAuthority()).pem)
    const mine = fullchain('a.example.com')
    const refused: readonly [words: readonly string[], code: string, says: RegExp][] = [
      [['account', 'shew'], 'USAGE', /does not know "shew"/],
      [['account', 'update'], 'USAGE', /the new address is missing/],
      [['account', 'update', '--email', 'nobody'], 'USAGE', /"nobody" is not an e-mail address/],
      [['account', 'rollover', '--email', newEmail], 'USAGE', /there is no account of ops@example\.com/],
      [['account', 'show', '--ca', 'nowhere'], 'USAGE', /there is no CA "nowhere"/],
      [['revoke'], 'USAGE', /no certificate is named/],
      [['revoke', 'a.example.com', '--fullchain', mine], 'USAGE', /two certificates are named/],
      [['revoke', 'c.example.com'], 'USAGE', /has issued nothing under the name c\.example\.com/],
      [['revoke', 'a.example.com', '--reason', 'boredom'], 'USAGE', /--reason cannot be "boredom"/],
      [['revoke', 'a.example.com', '--key', otherKey], 'USAGE', /--key belongs to --fullchain/],
      [['revoke', 'a.example.com', '--email', newEmail], 'USAGE', /there is no account of ops@example\.com/],
      [['revoke', '--fullchain', mine, '--key', otherKey], 'KEY_MISMATCH', /is not the key of that certificate/],
      [['revoke', '--fullchain', mine], 'USAGE', /its key is missing, and an account at letsencrypt, too/],
      [['revoke', '--fullchain', mine, '--by', 'account'], 'USAGE', /there is no account at letsencrypt/],
      [['revoke', '--fullchain', mine, '--ca', pebble.directoryUrl, '--by', 'key'], 'USAGE', /its key is missing$/],
      [['revoke', '--fullchain', authority], 'CERTIFICATE_MISSING', /does not begin with a certificate of a site/],
      [['revoke', '--fullchain', otherKey], 'CERTIFICATE_MISSING', /does not begin with a certificate/],
    ]
    const since = pebble.mark()
    for (const [words, code, says] of refused) {
      const failure = await refusal(place.state, words)
      t.match(failure, { code, message: says }, words.join(' '))
      t.ok(failure instanceof CertError && isInputError(failure), 'with exit status 2')
    }
    t.equal((await run('revoke')).code, 2)
    t.same(pebble.requests(since), {}, 'and nobody was asked')
    const otherPem = join(place.folder, 'other.pem')
    writeFileSync(otherPem, other.pem)
    const never = await refusal(place.state, ['revoke', '--fullchain', otherPem, ...atCa])
    t.match(never, { code: 'CA_REFUSED', hint: /--by key --key FILE$/ }, 'what the CA never issued')
  })

  await t.test('a CA that cannot be reached', async (t) => {
    await pebble.kill()
    const shown = await run('account', 'show', '--json', '--timeout', '1')
    t.equal(shown.code, 1)
    t.match(json(shown), {
      ok: false,
      accounts: [{ account: 'one@example.com', status: 'unknown', error: { code: 'CA_UNAVAILABLE' } }],
    })
  })
})

t.test('nothing secret is printed', async (t) => {
  testOutput(t)
  t.ok(printed.length > 10)
  t.same(leaksIn(printed), [])
})
