// A configuration that cannot be used is refused with file, line and path, and with the nearest known word.
import t, { type Test } from 'tap'
import { keepSecret, mintMaterial, proveSilence } from '../deploy-world.js'
import { errorOf, inTurns, openConfigWorld } from './config-world.js'

const world = await openConfigWorld(t)

/** Text, line (0: none), what is said behind it, what is advised. */
type Case = readonly [content: string | Buffer, line: number, message: RegExp, hint?: RegExp]

const refuses = (t: Test, cases: Readonly<Record<string, Case>>): Promise<void> =>
  inTurns(Object.entries(cases), async ([what, [content, line, message, hint = /docs\/configuration\.md/]]) => {
    const name = `${what.replace(/\W+/g, '-')}.yaml`
    const { code, stderr, json } = await world.check(content, name)
    t.equal(code, 2, what)
    t.equal(stderr, '', `${what}: nothing on standard error`)
    t.equal(json.error?.code, 'CONFIG_INVALID', what)
    const [, at = '0', said = ''] = /\.yaml(?::(\d+))?:? (.*)$/.exec(json.error?.message ?? '') ?? []
    t.ok(json.error?.message.startsWith(world.path(name)), `${what}: the file is named`)
    t.equal(Number(at), line, `${what}: the line`)
    t.match(said, message, what)
    t.match(json.error?.hint, hint, what)
  })

/** Below an entry, which begins in line 2. */
const inEntry = (...lines: readonly string[]): string =>
  ['certificates:', '  a.example:', ...lines.map((line) => `    ${line}`), ''].join('\n')
const target = (...lines: readonly string[]): string => inEntry('deploy:', ...lines.map((line) => `  ${line}`))
const order = (...lines: readonly string[]): string =>
  inEntry('domains: [a.example]', 'issue:', ...lines.map((line) => `  ${line}`))

const entry = 'certificates\\.a\\.example'
const at = (path: string, rest: string): RegExp => new RegExp(`^${entry}${path}${rest}`)

t.test('keys that are not known, at every level', (t) =>
  refuses(t, {
    'at the top': [
      '# one\nacount:\n  email: a@example.com\n',
      2,
      /^acount is not known here$/,
      /did you mean account\?/,
    ],
    'nothing like it': ['frobnicate: 1\n', 1, /^frobnicate /, /^known here: account, defaults, certificates, alerts$/],
    'of the account': ['account:\n  mail: a@example.com\n', 2, /^account\.mail /, /did you mean email\?/],
    'of a binding': [
      'account:\n  eab:\n    zerossl: { kid: a, hmac-key: b }\n',
      3,
      /^account\.eab\.zerossl\.hmac-key /,
      /^known here: kid, hmac-key-file$/,
    ],
    'of a binding, misspelt': [
      'account:\n  eab:\n    zerossl: { kid: a, hmac-key-fil: b }\n',
      3,
      /hmac-key-fil is not known/,
      /did you mean hmac-key-file\?/,
    ],
    'a kind among the defaults': ['defaults:\n  os:\n    bucket: b\n', 2, /^defaults\.os /, /did you mean oss\?/],
    'an option among the defaults': ['defaults:\n  oss: { buckt: b }\n', 2, /^defaults\.oss\.buckt /, /bucket\?/],
    'of an entry': [inEntry('deply:', '  - oss: {}'), 3, at('\\.deply', ' is not known'), /did you mean deploy\?/],
    'of an order': [order('solvr: exec'), 5, at('\\.issue\\.solvr', ' '), /did you mean solver\?/],
    'a kind of target': [target('- directry: { path: a }'), 4, at('\\.deploy\\.0\\.directry', ' '), /directory\?/],
    'a kind of another program': [
      target('- ftp: { path: a }'),
      4,
      at('\\.deploy\\.0\\.ftp', ' '),
      /: oss, oss-cname, cdn, dcdn, cas, directory, exec$/,
    ],
    'an option of a target': [target('- directory:', '    pth: a'), 5, at('.*\\.directory\\.pth', ' '), /mean path\?/],
    'an option of another target': [target('- directory: { path: a, bucket: b }'), 4, /\.bucket is not/, /known here/],
    'in another case': [target('- OSS: { bucket: b }'), 4, /\.OSS is not known here/, /did you mean oss\?/],
    'in the second entry': [
      `${inEntry('deploy: []')}  b.example:\n    deplo: []\n`,
      5,
      /b\.example\.deplo /,
      /deploy\?/,
    ],
    'a merge key': ['certificates:\n  a: &a { deploy: [] }\n  b:\n    <<: *a\n', 4, /b\.<< is not known/, /deploy/],
  }),
)

t.test('words that mean something to JavaScript', (t) =>
  refuses(
    t,
    Object.fromEntries(
      ['__proto__', 'constructor', 'toString'].flatMap((word): [string, Case][] => [
        [`${word} at the top`, [`${word}: { email: a@example.com }\n`, 1, new RegExp(`^${word} is not`), /known here/]],
        [
          `${word} as an option`,
          [target(`- directory: { path: a, ${word}: { allow-older: true } }`), 4, / is not/, /:/],
        ],
        [
          `${word} as a kind`,
          [
            target(`- ${word}: { path: a }`),
            4,
            / is not known here$/,
            /: oss, oss-cname, cdn, dcdn, cas, directory, exec$/,
          ],
        ],
        [`${word} as a CA`, [`account: { eab: { ${word}: { kid: a, hmac-key-file: b } } }\n`, 1, /no CA/, /zerossl/]],
      ]),
    ),
  ),
)

t.test('values that are of another type', (t) =>
  refuses(t, {
    'a list at the top': ['- a\n- b\n', 1, /^has to be a mapping$/],
    'a text at the top': ['hello\n', 1, /^has to be a mapping$/],
    'a number at the top': ['5\n', 1, /^has to be a mapping$/],
    'an e-mail address': ['account: { email: nope }\n', 1, /^account\.email has to be an e-mail address$/],
    'an empty account': ['account:\n', 1, /^account is empty, and has to be a mapping$/],
    'a yes': ['account:\n  agree-tos: yes\n', 2, /^account\.agree-tos has to be true or false$/],
    'a yes by a directive': ['%YAML 1.1\n---\naccount: { agree-tos: yes }\n', 3, /agree-tos has to be true or false$/],
    'half a binding': ['account: { eab: { zerossl: { kid: a } } }\n', 1, /zerossl\.hmac-key-file is missing$/],
    'a number for a text': [
      target('- oss: { bucket: 123 }'),
      4,
      at('.*bucket', ' has to be a text, so it needs quotes'),
    ],
    'an empty path': [target('- directory: { path: "" }'), 4, at('.*path', ' has to be one line of text')],
    'a blank path': [target('- directory: { path: " " }'), 4, at('.*path', ' has to be one line of text')],
    'a path with a line break': [target('- directory: { path: "a\\nb" }'), 4, at('.*path', ' has to be one line')],
    // Whatever looks at it must not go over it once for each letter.
    'a path without end': [
      target(`- directory: { path: "${'a'.repeat(500_000)}\\n" }`),
      4,
      at('.*path', ' has to be one line'),
    ],
    'a switch': [target('- directory: { path: a, allow-older: "1" }'), 4, at('.*older', ' has to be true or false')],
    'one of a few': [target('- oss: { bucket: b, sse: aes }'), 4, at('.*sse', ' has to be one of AES256, KMS, SM4$')],
    'a target without a colon': [target('- directory'), 4, at('\\.deploy\\.0', ' has to be a mapping')],
    'a target without options': [
      target('- directory:'),
      4,
      at('\\.deploy\\.0\\.directory', ' is empty, and has to be'),
    ],
    'targets without dashes': [target('directory: { path: a }'), 3, at('\\.deploy', ' has to be a list')],
    'two targets behind one dash': [
      target('- directory: { path: a }', '  oss: {}'),
      4,
      / exactly one target: each has/,
    ],
    'no target behind a dash': [target('- {}'), 4, at('\\.deploy\\.0', ' takes exactly one target')],
    'an empty entry': ['certificates:\n  a.example:\n', 2, at('', ' is empty, and has to be a mapping')],
    'one domain': [inEntry('domains: a.example'), 3, at('\\.domains', ' has to be a list')],
    'no domain': [inEntry('domains: []'), 3, at('\\.domains', ' has to hold one at least')],
    'a number for a domain': [inEntry('domains:', '  - 12'), 4, at('\\.domains\\.0', ' has to be a text')],
    'a domain that is none': [inEntry('domains:', '  - a', '  - b c'), 5, at('\\.domains\\.1', ' .*"b c".* no name')],
    'an entry without a name': ['certificates:\n  "": {}\n', 2, / is no name: it has to be one line/],
    'an entry whose name breaks the line': ['certificates:\n  "a\\nb": {}\n', 2, / is no name: it has to be one line/],
    'a CA': [order('ca: 5'), 5, at('\\.issue\\.ca', ' has to be a text or a list of texts')],
    'a port in quotes': [order('http-port: "80"'), 5, at('\\.issue\\.http-port', ' has to be a number')],
    'a port that there is not': [order('http-port: 80000'), 5, at('\\.issue\\.http-port', ' .* from 1 to 65535')],
    'a challenge': [order('challenge: dns'), 5, at('\\.issue\\.challenge', ' has to be one of http-01, dns-01')],
  }),
)

t.test('what only those find who are to use it', (t) =>
  refuses(t, {
    'a directory without a path': [target('- directory: {}'), 4, at('.*directory', ' needs a path'), /below defaults/],
    'a bucket without a name': [target('- oss: { region: r }'), 4, at('.*oss', ' needs a bucket'), /add bucket there/],
    'a bucket without a region': [target('- oss: { bucket: my-certs }'), 4, at('.*oss', ': the region'), /without the/],
    'a bucket that there cannot be': [target('- oss: { bucket: NO, region: cn-a }'), 4, /: "NO" cannot be/, /3 to 63/],
    'in the clear': [
      target('- oss: { bucket: my-certs, region: cn-a, endpoint: "http://a.example" }'),
      4,
      /clear/,
      /https/,
    ],
    'a prefix': [target('- oss: { bucket: my-certs, region: cn-a, prefix: /a }'), 4, /deploy\.0\.oss: /, /prefix/],
    'a solver': [
      order('solver: route53'),
      4,
      at('\\.issue', ': solver cannot be "route53"'),
      /standalone, webroot, bucket, exec, alidns/,
    ],
    'a solver that lacks something': [order('solver: exec'), 4, at('\\.issue', ': '), /exec-auth.*without the dashes/],
    'a kind of key': [order('key-type: ec255'), 4, at('\\.issue', ': key-type cannot be "ec255"'), /ec256/],
    'the second CA': [order('ca: [letsencrypt, nope]'), 4, at('\\.issue', ': there is no CA "nope"'), /zerossl/],
    'an order without names': [inEntry('issue: {}'), 2, at('', ' is to be issued, and has no domains'), /add domains/],
    'an order for something else': [inEntry('domains: [localhost]', 'issue: {}'), 4, /"localhost" is not/, /full host/],
    'a wildcard over http': [inEntry("domains: ['*.a.example']", 'issue: {}'), 4, /by DNS alone/, /exec-auth/],
    'a binding at no CA': [
      'account:\n  eab:\n    zerosl: { kid: a, hmac-key-file: b }\n',
      3,
      /no CA "zerosl"/,
      /zerossl/,
    ],
  }),
)

const levels = 'abcdefgh'.split('')
const bomb = levels
  .map((name, i) => `${name}: &${name} [${Array(9).fill(i === 0 ? 'x' : `*${levels[i - 1]}`)}]\n`)
  .join('')

t.test('what is no YAML, or more than plain values', (t) =>
  refuses(t, {
    'a list that does not end': ['certificates:\n  a: [\n', 3, /^flow sequence/],
    'a tab': ['certificates:\n\ta.example: {}\n', 2, /^tabs are not allowed/],
    'a key that stands there twice': [
      'account:\n  email: a@a.example\n  email: b@a.example\n',
      3,
      /keys must be unique/,
    ],
    'two entries of one name': ['certificates:\n  a: { deploy: [] }\n  "a": { deploy: [] }\n', 3, /must be unique/],
    'a tag that makes a function': ['account:\n  email: !!js/function "() => 1"\n', 2, /^tags are not taken here/],
    'a tag of nobody': ['account: !mine { email: a@example.com }\n', 1, /^tags are not taken here/],
    'a tag that makes bytes': ['account:\n  email: !!binary aGVsbG8=\n', 2, /^tags are not taken here/],
    'a tag that makes a set': ['account: !!set { email }\n', 1, /^tags are not taken here/],
    'a key that is a list': ['? [a, b]\n: x\n', 1, /^a key has to be a text/],
    'an alias of nothing': ['account:\n  email: *nope\n', 2, /^there is no such anchor/],
    'aliases that grow': [bomb, 0, /^its aliases unfold to too much/],
    'nested without end': [`account: ${'['.repeat(20_000)}${']'.repeat(20_000)}\n`, 1, /^it is nested too deeply/],
    'two documents': ['account: {}\n---\naccount: {}\n', 2, /^a second document begins here/],
    'nine megabytes': [`#${'x'.repeat(9 * 1024 * 1024)}\n`, 0, /^is larger than 8 MiB$/],
    'bytes that are no text': [Buffer.from([0x80, 0xff, 0x00, 0xfe]), 0, /^is not a text in UTF-8$/],
    'a text in Latin-1': [Buffer.from('# f\u00fcr uns\naccount: {}\n', 'latin1'), 0, /^is not a text in UTF-8$/],
    'zeroes alone': [Buffer.alloc(2000), 1, /^has to be a mapping$/],
  }),
)

t.test('what is in order', async (t) => {
  const entries = '  a.example:\n    deploy:\n      - directory: { path: out }\n'
  const whole = `certificates:\n${entries}`
  const cases: Readonly<Record<string, readonly [content: string, names: readonly string[]]>> = {
    'an empty file': ['', []],
    'comments alone': ['# one\n\n  # two\n', []],
    'an empty document': ['---\n...\n', []],
    'a byte order mark': [`\uFEFF${whole}`, ['a.example']],
    'line ends of Windows': [whole.replaceAll('\n', '\r\n'), ['a.example']],
    'no line end at the end': [whole.trimEnd(), ['a.example']],
    'JSON, which is YAML': ['{"certificates":{"a.example":{"deploy":[{"directory":{"path":"out"}}]}}}', ['a.example']],
    'a list that others share': [
      `certificates:\n  a: { deploy: &all [{ directory: { path: out } }] }\n${Array.from({ length: 150 }, (_, i) => `  n${i}: { deploy: *all }\n`).join('')}`,
      ['a', ...Array.from({ length: 150 }, (_, i) => `n${i}`)],
    ],
    'names that look like something else': [
      `certificates:\n${['1.10', 'true', 'null', '0x10', '~', '__proto__', 'constructor', 'a/../b'].map((name) => `  ${name}: { deploy: [] }\n`).join('')}`,
      ['1.10', 'true', 'null', '0x10', '~', '__proto__', 'constructor', 'a/../b'],
    ],
  }
  await inTurns(Object.entries(cases), async ([what, [content, names]]) => {
    const { code, stderr, json } = await world.check(content, `${what}.yaml`)
    t.match({ code, stderr, error: json.error }, { code: 0, stderr: '', error: null }, what)
    t.same(
      json.certificates?.map(({ name }) => name),
      names,
      what,
    )
  })
})

t.test('the commands that use it refuse it in the same words', async (t) => {
  const file = world.write('used.yaml', target('- directry: { path: a }'))
  const { json } = await world.check(target('- directry: { path: a }'), 'used.yaml')
  const material = await mintMaterial({ names: ['a.example'] })
  const [deploy, issue, paths, text] = await Promise.all([
    world.planned(material, ['--config', file]),
    world.run(['issue-and-deploy', '--name', 'a.example', '--json', '--config', file]),
    world.run(['config', 'paths', '--json', '--config', file]),
    world.run(['config', 'check', '--config', file], { terse: true }),
  ])
  t.same(deploy, [`CONFIG_INVALID: ${json.error?.message}`])
  for (const run of [issue, paths]) {
    t.equal(run.code, 2)
    t.match(JSON.parse(run.stdout), { ok: false, error: { code: 'CONFIG_INVALID', message: json.error?.message } })
  }
  t.same(text.stderr, `error: ${json.error?.message}\n  what to do: did you mean directory?\n`)
  t.equal(text.stdout, '')

  const unusable = world.write('unusable.yaml', target('- oss: { bucket: my-certs }'))
  const where = `${unusable}:4: certificates.a.example.deploy.0.oss: `
  t.match(await world.planned(material, ['--config', unusable]), [
    `CONFIG_INVALID: ${where}the region of the bucket is not given`,
  ])
  const flag = await world.planned(material, ['--config', unusable, '--endpoint', 'http://a.example'])
  t.match(flag, [/^CONFIG_INVALID|^USAGE/])
  const hook = await world.hooked('a.example', material, ['--config', unusable])
  t.equal(hook.code, 1, 'a hook has recorded it all the same')
  t.match(errorOf(hook), { code: 'CONFIG_INVALID', message: where })
})

t.test('what does not belong there is not repeated', async (t) => {
  const secret = keepSecret('hunter2hunter2hunter2hunter2')
  const { key } = await mintMaterial()
  await inTurns(
    [
      `ALIBABA_CLOUD_ACCESS_KEY_SECRET=${secret}\n`,
      `ALIBABA_CLOUD_ACCESS_KEY_SECRET: ${secret}\n`,
      `account: { agree-tos: ${secret} }\n`,
      `defaults: { oss: { access-key-secret: ${secret} } }\n`,
      target(`- oss: { bucket: my-certs, region: cn-hangzhou, endpoint: "https://user:${secret}@a.example" }`),
      target(`- directory: ${secret}`),
      order(`ca: "https://user:${secret}@a.example/dir"`),
      key,
    ],
    // proveSilence reads what was said; a process of its own knows no secret but these.
    async (content) => {
      const file = world.write(`${content.length}.yaml`, content)
      t.equal((await world.run(['config', 'check', '--json', '--config', file], { terse: true })).code, 2)
    },
  )
})

await proveSilence(t)
