//! Chat templates by the names that mergekit's recipes give them, in the Jinja that transformers reads.

/// Name and text.
pub(super) const NAMED: [(&str, &str); 5] =
    [("alpaca", ALPACA), ("chatml", CHATML), ("exaone", EXAONE), ("llama3", LLAMA3), ("mistral", MISTRAL)];

const CHATML: &str = "\
{%- for message in messages -%}
    {{- '<|im_start|>' ~ message.role ~ '\\n' ~ message.content ~ '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
";

const ALPACA: &str = "\
{%- for message in messages -%}
    {%- if message.role == 'system' -%}
        {{- message.content ~ '\\n\\n' -}}
    {%- elif message.role == 'user' -%}
        {{- '### Instruction:\\n' ~ message.content ~ '\\n\\n' -}}
    {%- else -%}
        {{- '### Response:\\n' ~ message.content ~ eos_token ~ '\\n\\n' -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '### Response:\\n' -}}
{%- endif -%}
";

const EXAONE: &str = "\
{%- for message in messages -%}
    {{- '[|' ~ message.role ~ '|]' ~ message.content -}}
    {{- '\\n' if message.role == 'user' else '[|endofturn|]\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '[|assistant|]' -}}
{%- endif -%}
";

const LLAMA3: &str = "\
{{- bos_token -}}
{%- for message in messages -%}
    {{- '<|start_header_id|>' ~ message.role ~ '<|end_header_id|>\\n\\n' -}}
    {{- message.content | trim ~ '<|eot_id|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
{%- endif -%}
";

/// Has no place for a system's message: it goes before the first of the user.
const MISTRAL: &str = "\
{{- bos_token -}}
{%- set ahead = namespace(text='') -%}
{%- for message in messages -%}
    {%- if message.role == 'system' -%}
        {%- set ahead.text = message.content ~ '\\n\\n' -%}
    {%- elif message.role == 'user' -%}
        {{- '[INST] ' ~ ahead.text ~ message.content ~ ' [/INST]' -}}
        {%- set ahead.text = '' -%}
    {%- else -%}
        {{- ' ' ~ message.content ~ eos_token -}}
    {%- endif -%}
{%- endfor -%}
";
