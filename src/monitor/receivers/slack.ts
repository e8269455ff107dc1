import { plainText } from '../alert-message.js'
import { jsonHeaders, type Receiver, refusedByStatus, shortened } from './receiver.js'

// It takes 40000 characters; nobody reads as many.
const longest = 15_000

/** An incoming webhook of Slack, and of what takes the same, such as Mattermost and Rocket.Chat. */
export const slack: Receiver = {
  request: (message, { url }) => ({
    url,
    headers: jsonHeaders,
    body: JSON.stringify({
      text: plainText(message, longest, escaped),
      mrkdwn: false,
      link_names: false,
      unfurl_links: false,
    }),
  }),
  refusal: (answer) => {
    const said = shortened(answer.body)
    const byStatus = refusedByStatus(answer)
    if (byStatus === undefined && said === 'ok') return undefined
    // A word for it; where somebody else answers, a page of theirs.
    const word = /^[a-z][a-z_]{0,60}$/.test(said) ? said : undefined
    const hint = word === undefined ? (byStatus?.hint ?? 'is its URL right?') : hints[word]
    return {
      code: word ?? byStatus?.code ?? 'unknown',
      message: word === undefined ? (byStatus?.message ?? 'it answered with something else') : `it refused: ${word}`,
      hint,
      passing: byStatus?.passing ?? false,
    }
  },
}

const hints: Readonly<Record<string, string>> = {
  action_prohibited: 'an administrator does not let it post there',
  channel_is_archived: 'choose another channel for the webhook',
  channel_not_found: 'choose another channel for the webhook',
  invalid_token: 'the URL is not known (any more): copy that of the webhook once more',
  no_active_hooks: 'the webhook has been switched off',
  no_service: 'the URL is not known (any more): copy that of the webhook once more',
  no_team: 'the URL is not known (any more): copy that of the webhook once more',
}

/** As Slack asks for it: nothing is a link or calls anybody (`<!channel>`) that is not marked so. */
const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('@', '＠')
