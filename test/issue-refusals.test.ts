// What `issue-and-deploy` refuses before anything is sent or kept, and what it would do without doing it.
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { email, neverPrint, openWorkplace, testOutput, type Workplace } from './issue-command.js'
import { type StubCa, startStubCa } from './stub-ca.js'

const start = async (t: Test): Promise<[StubCa, Workplace]> => Promise.all([startStubCa(t), openWorkplace(t)])

/** Has nobody been spoken to, and nothing been written? */
const isUntouched = (t: Test, ca: StubCa, place: Workplace): void => {
  t.equal(ca.connections, 0, 'no connection to the CA')
  t.equal(place.emulator.connections, 0, 'nor to the cloud')
  t.notOk(existsSync(place.state), 'no state folder')
  t.notOk(existsSync(join(place.folder, 'out')), 'nothing was deployed')
}

const some = ['-d', 'a.example.com']
const agreed = ['--agree-tos', '--email', email]

type Words = (ca: StubCa, place: Workplace) => readonly string[]

interface Case {
  readonly words: Words
  readonly code: string
  readonly says: RegExp
  readonly hint?: RegExp
  /** One of many alike: it is tried once, and not in both forms. */
  readonly brief?: boolean
}

/** What a complete command line needs beside its names. */
const rest: Words = (ca, place) => ['--ca', ca.directoryUrl, ...agreed, '--webroot', place.folder, ...place.toFolder]

const withNames =
  (...names: readonly string[]): Words =>
  (ca, place) => [...names.map((name) => `--domain=${name}`), ...rest(ca, place)]

const withMore =
  (...more: readonly string[]): Words =>
  (ca, place) => [...some, ...rest(ca, place), ...more]

/** Without the solver that `rest` has. */
const withSolver =
  (...solver: readonly string[]): Words =>
  (ca, place) => [...some, '--ca', ca.directoryUrl, ...agreed, ...place.toFolder, ...solver]

const withCa =
  (name: string): Words =>
  (_, place) => [...some, '--ca', name, ...agreed, '--webroot', place.folder, ...place.toFolder]

const inFile =
  (flag: string, text: string, ...more: readonly string[]): Words =>
  (ca, place) => {
    const file = join(place.folder, 'given')
    writeFileSync(file, text)
    return [...some, ...rest(ca, place), flag, file, ...more]
  }

const nameRefused = (name: string): Case => ({
  words: withNames('good.example.com', name),
  code: name === '' || name === ' ' ? 'USAGE' : 'NAME_INVALID',
  says: /name|--domain/,
  brief: true,
})

const long = `${'a'.repeat(62)}.${'b'.repeat(62)}.${'c'.repeat(62)}.${'d'.repeat(61)}.com`

const halfKey = Buffer.from('the key of half a binding, and no more').toString('base64url')

const badPem = '-----BEGIN CERTIFICATE-----\nbm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n'

const cases: Readonly<Record<string, Case>> = {
  'a wildcard with the standalone solver': {
    words: (ca, place) => ['-d', '*.example.com', '--ca', ca.directoryUrl, ...agreed, ...place.toFolder],
    code: 'WILDCARD_NEEDS_DNS',
    says: /^\*\.example\.com can be proven by DNS alone$/,
    hint: /--challenge dns-01 --solver exec --exec-auth/,
  },
  'a wildcard with the webroot solver': {
    words: withNames('example.com', '*.example.com'),
    code: 'WILDCARD_NEEDS_DNS',
    says: /^\*\.example\.com/,
  },
  'a wildcard by http-01': {
    words: (ca, place) => [
      ...['-d', '*.example.com', '--ca', ca.directoryUrl, ...agreed, ...place.toFolder],
      ...['--solver', 'exec', '--exec-auth', 'true', '--challenge', 'http-01'],
    ],
    code: 'WILDCARD_NEEDS_DNS',
    says: /^\*\.example\.com/,
  },
  ...Object.fromEntries(
    [['192.0.2.1'], ['a.example.com', '2001:db8::1'], ['*.example.com', '192.0.2.1']].map((names) => [
      `${names.join(' and ')} by DNS`,
      {
        words: (ca: StubCa, place: Workplace) => [
          ...[...names.flatMap((name) => ['-d', name]), '--ca', ca.directoryUrl, ...agreed, ...place.toFolder],
          ...['--solver', 'exec', '--exec-auth', 'true', '--challenge', 'dns-01'],
        ],
        code: 'USAGE',
        says: /^(192\.0\.2\.1|2001:db8::1) cannot be proven by DNS/,
        hint: /http-01 or tls-alpn-01/,
        brief: true,
      },
    ]),
  ),
  'terms that were not agreed to': {
    words: (ca, place) => [...some, '--ca', ca.directoryUrl, '--webroot', place.folder, ...place.toFolder],
    code: 'TERMS_NOT_AGREED',
    says: /no account at 127\.0\.0\.1:\d+ yet/,
    hint: /--agree-tos/,
  },
  'a CA that knows its accounts, without a binding': {
    words: withCa('zerossl'),
    code: 'USAGE',
    says: /zerossl registers only/,
    hint: /--eab-kid and --eab-hmac-key-file/,
  },
  ...Object.fromEntries(
    [
      ...[
        'https://a.example.com',
        'a.example.com/path',
        'a.example.com:443',
        '',
        ' ',
        'a..b',
        '.a.example.com',
        '-a.com',
      ],
      ...['a-.com', 'localhost', 'com', long, 'a.*.example.com', '*', '*.com', '**.example.com', '*.*.example.com'],
      ...['a b.example.com', 'a_b.example.com', 'a@example.com', `${'x'.repeat(64)}.com`, '1.2.3', '1.2.3.4.5', '::g'],
      ...[
        'fe80::1%eth0',
        '*.127.0.0.1',
        'exa$mple.com',
        'a.example.com?x',
        'a.example.com#x',
        '%61.example.com',
        'a.exa\tmple.com',
        'a.example.com\\x',
        '../../etc',
        'a,b.example.com',
      ],
    ].map((name) => [`the name "${name.slice(0, 30)}"`, nameRefused(name)]),
  ),
  'no name': { words: rest, code: 'USAGE', says: /no name/, hint: /-d example\.com/ },
  ...Object.fromEntries(
    ['nobody', 'a@b', '@example.com', 'a@example.com,b@example.com', 'a b@example.com', 'mailto:?a@x.com'].map(
      (address) => [
        `the address "${address}"`,
        {
          words: (ca: StubCa, place: Workplace) => [
            ...[...some, '--ca', ca.directoryUrl, '--agree-tos', '--email', address, ...place.toFolder],
          ],
          code: 'USAGE',
          says: /e-mail address/,
          hint: /--email/,
          brief: true,
        },
      ],
    ),
  ),
  'an unknown CA': { words: withCa('letsencript'), code: 'USAGE', says: /"letsencript"/, hint: /letsencrypt, / },
  'a CA without TLS': { words: withCa('http://ca.example.com/dir'), code: 'USAGE', says: /--ca/, hint: /https/ },
  'a CA that looks like this machine': { words: withCa('http://127.0.0.1.example.com/'), code: 'USAGE', says: /--ca/ },
  'a CA with a password': { words: withCa('https://me:secret@ca.example.com/'), code: 'USAGE', says: /--ca/ },
  'a CA by FTP': { words: withCa('ftp://ca.example.com/'), code: 'USAGE', says: /no CA/ },
  'an unknown solver': {
    words: withSolver('--solver', 'magic'),
    code: 'USAGE',
    says: /--solver.*"magic"/,
    hint: /exec/,
  },
  'an unknown challenge': {
    words: withMore('--challenge', 'tls-sni-01'),
    code: 'USAGE',
    says: /--challenge.*"tls-sni-01"/,
    hint: /http-01, dns-01/,
  },
  'standalone with dns-01': {
    words: withSolver('--solver', 'standalone', '--challenge', 'dns-01'),
    code: 'USAGE',
    says: /standalone cannot answer dns-01/,
    hint: /--solver exec/,
  },
  'webroot with dns-01': {
    words: withMore('--challenge', 'dns-01'),
    code: 'USAGE',
    says: /webroot cannot answer dns-01/,
  },
  'webroot without a folder': {
    words: withSolver('--solver', 'webroot'),
    code: 'USAGE',
    says: /folder/,
    hint: /--webroot/,
  },
  'exec without a command': {
    words: withSolver('--solver', 'exec'),
    code: 'USAGE',
    says: /command/,
    hint: /--exec-auth/,
  },
  'an open quote in --exec-auth': {
    words: withSolver('--solver', 'exec', '--exec-auth', `sh -c 'oops`),
    code: 'USAGE',
    says: /--exec-auth has a quote without its end/,
  },
  'an open quote in --exec-cleanup': {
    words: withSolver('--solver', 'exec', '--exec-auth', 'true', '--exec-cleanup', 'sh -c "oops'),
    code: 'USAGE',
    says: /--exec-cleanup has a quote without its end/,
  },
  'an empty --exec-auth': {
    words: withSolver('--solver', 'exec', '--exec-auth', ' '),
    code: 'USAGE',
    says: /--exec-auth/,
  },
  'a --ca-bundle that is not there': {
    words: withMore('--ca-bundle', '/nowhere/ca.pem'),
    code: 'FILE_UNREADABLE',
    says: /\/nowhere\/ca\.pem/,
  },
  'a --ca-bundle that is a folder': { words: withMore('--ca-bundle', '/'), code: 'FILE_UNREADABLE', says: /\// },
  'a --ca-bundle without a certificate': {
    words: inFile('--ca-bundle', 'garbage'),
    code: 'USAGE',
    says: /holds no certificate/,
    hint: /PEM/,
  },
  'a --ca-bundle with a broken one': { words: inFile('--ca-bundle', badPem), code: 'USAGE', says: /given/ },
  ...Object.fromEntries(
    ['0', '70000', 'abc', '-1', '80.5', '0x50', '65536'].map((port) => [
      `--http-port ${port}`,
      {
        words: withSolver('--solver', 'standalone', `--http-port=${port}`),
        code: 'USAGE',
        says: /--http-port takes a whole number from 1 to 65535/,
        brief: true,
      },
    ]),
  ),
  'a kind of key that there is not': { words: withMore('--key-type', 'rsa1024'), code: 'USAGE', says: /--key-type/ },
  'no target': {
    words: (ca, place) => [...some, '--ca', ca.directoryUrl, ...agreed, '--webroot', place.folder],
    code: 'USAGE',
    says: /\w/,
    hint: /--bucket|--directory/,
  },
  'half a binding: the id': {
    words: withMore('--eab-kid', 'kid-1'),
    code: 'USAGE',
    says: /two parts/,
    hint: /--eab-kid/,
  },
  'half a binding: the key': {
    words: inFile('--eab-hmac-key-file', halfKey),
    code: 'USAGE',
    says: /two parts/,
    hint: /--eab-kid/,
  },
  'a binding whose key is none': {
    words: inFile('--eab-hmac-key-file', 'this is no key', '--eab-kid', 'kid-1'),
    code: 'USAGE',
    says: /does not hold the key/,
  },
  'a binding whose key is not there': {
    words: withMore('--eab-kid', 'kid-1', '--eab-hmac-key-file', '/nowhere/key'),
    code: 'FILE_UNREADABLE',
    says: /\/nowhere\/key/,
  },
  'an unknown flag': { words: withMore('--webrot', '/srv'), code: 'USAGE', says: /--webrot/, hint: /--webroot/ },
  'a flag without its value': { words: withMore('--key-type'), code: 'USAGE', says: /--key-type/ },
  'a flag given twice': {
    words: withMore('--email', 'b@example.com'),
    code: 'USAGE',
    says: /--email was given 2 times/,
  },
}

/** Those that a process of its own is tried with, as it is published: there it is said in the same words. */
const apart = new Set(['no name', 'an unknown CA', 'half a binding: the key', 'a flag given twice'])

/** A few at a time. */
const inParallel = async <T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> => {
  const waiting = [...items]
  const worker = async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item)
  }
  await Promise.all([worker(), worker(), worker()])
}

t.test('refused before anything is sent', async (t) => {
  for (const what of apart) t.ok(Object.hasOwn(cases, what), what)
  await inParallel(Object.entries(cases), async ([what, { words, code, says, hint = /\w/, brief = false }]) => {
    const [ca, place] = await start(t)
    const given = [...words(ca, place), '--timeout', '2']
    const forPrograms = await place.run([...given, '--json'], { here: true })
    const forPeople = brief ? undefined : await place.run(given, { here: !apart.has(what) })
    t.test(what, async (t) => {
      t.equal(forPrograms.code, 2)
      t.match(forPrograms.json, {
        schema: 'acme-oss/1',
        command: 'issue-and-deploy',
        ok: false,
        certificate: null,
        error: { code, message: says, hint },
      })
      if (forPeople !== undefined) {
        t.equal(forPeople.code, 2)
        t.equal(forPeople.stdout, '')
        t.match(forPeople.stderr, /^error: [^\n]+\n {2}what to do: [^\n]+\n$/, 'one sentence and a hint')
        t.ok(forPeople.stderr.startsWith(`error: ${forPrograms.json.error?.message}\n`), 'and both say the same')
      }
      isUntouched(t, ca, place)
    })
  })
})

t.test('--dry-run', async (t) => {
  const [ca, place] = await start(t)
  const names = ['example.com', '*.example.com']
  const words = [
    ...names.flatMap((name) => ['-d', name]),
    ...['--ca', ca.directoryUrl, ...agreed, '--solver', 'exec', '--exec-auth', 'touch should-not-be'],
    ...[...place.toBucket, ...place.toFolder],
  ]

  t.test('says what it would order, and where that would go', async (t) => {
    const { code, stdout, stderr } = await place.run([...words, '--dry-run'])
    t.equal(code, 0)
    t.equal(stderr, '')
    t.match(
      stdout,
      /^would order at 127\.0\.0\.1:\d+ \(http:\/\/127\.0\.0\.1:\d+\/dir\): example\.com, \*\.example\.com;/,
    )
    t.match(stdout, /ec256, proven by dns-01 with exec/)
    for (const place of ['oss my-ssl-certs/certs/example.com/', 'directory '])
      t.ok(stdout.includes(`\n${place}`), place)
    for (const step of [/1\. archive 5 files under oss:\/\/my-ssl-certs/, /2\. update oss:\/\/my-ssl-certs\/certs/]) {
      t.match(stdout, step)
    }
    isUntouched(t, ca, place)
    t.same(readdirSync(place.folder), [])
  })

  t.test('as JSON', async (t) => {
    const { code, json, stderr } = await place.run([...words, '--dry-run', '--json'])
    t.equal(code, 0)
    t.equal(stderr, '')
    t.match(json, { schema: 'acme-oss/1', command: 'issue-and-deploy', ok: true, pending: [], error: null })
    t.equal(json.certificate, null)
    t.match(json.order, { placed: false, ms: null })
    t.same(
      json.stages.map(({ status }) => status),
      ['planned', 'planned'],
    )
    isUntouched(t, ca, place)
  })

  t.test('with everything from the environment', async (t) => {
    const { code, stdout } = await place.run(['--dry-run'], {
      environment: {
        ACME_OSS_DOMAIN: 'a.example.com, b.example.com',
        ACME_OSS_CA: ca.directoryUrl,
        ACME_OSS_AGREE_TOS: '1',
        ACME_OSS_WEBROOT: place.folder,
        ACME_OSS_KEY_TYPE: 'rsa2048',
        ACME_OSS_DIRECTORY: join(place.folder, 'out'),
        ACME_OSS_FULLCHAIN: 'of another command',
      },
    })
    t.equal(code, 0)
    t.match(stdout, /: a\.example\.com, b\.example\.com; rsa2048, proven by http-01 with webroot\n/)
    isUntouched(t, ca, place)
  })

  t.test('refuses what the command itself would', async (t) => {
    for (const more of [
      ['-d', 'a..b'],
      ['--http-port', '0'],
      ['--challenge', 'http-01'],
      ['--exec-cleanup', `'`],
    ]) {
      t.equal((await place.run([...words, '--dry-run', ...more])).code, 2, more.join(' '))
    }
    isUntouched(t, ca, place)
  })

  t.test('where a certificate is stored', async (t) => {
    const real = [
      ...words.slice(0, 2),
      '--ca',
      ca.directoryUrl,
      ...agreed,
      '--webroot',
      place.folder,
      ...place.toFolder,
    ]
    t.equal((await place.run(real)).code, 0)
    const look = (): string[] =>
      readdirSync(place.folder, { recursive: true, encoding: 'utf8' }).map(
        (name) => `${name} ${statSync(join(place.folder, name)).mtimeMs}`,
      )
    const [before, requests] = [look(), ca.requests.length]
    const { code, stdout } = await place.run([...real, '--dry-run'])
    t.equal(code, 0)
    t.notMatch(stdout, /would order/)
    t.match(stdout, /^example\.com \(\d{4}-\d\d-\d\d_[0-9a-f]{8}, valid until [\d-]+\) would go to:\n/)
    t.match((await place.run([...real, '--dry-run', '--force-renewal'])).stdout, /^would order/)
    t.same(look(), before, 'nothing was touched')
    t.equal(ca.requests.length, requests)
  })
})

t.test('nothing was given away by any of this', async (t) => {
  neverPrint(halfKey)
  testOutput(t)
})
