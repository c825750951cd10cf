//! Every limit of the service, in one place.

use serde::{Deserialize, Serialize};

/// Seconds that a caller's requests are counted over, as on the Hub.
pub const RATE_SECONDS: u64 = 300;

/// Limits in force; shown at `/api/v1/limits` and by `stemma config show`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Longest safetensors header, bytes. Real models stay under 2 MB.
    pub header_bytes: u64,
    /// Most tensors in one checkpoint.
    pub tensors: usize,
    /// Longest tensor name, bytes.
    pub tensor_name_bytes: usize,
    /// Highest tensor rank.
    pub rank: usize,
    /// Largest single file, bytes.
    pub file_bytes: u64,
    /// Most files in one revision.
    pub files: usize,
    /// Most files of a repository that a client of the Hub names in one request, or is told on one page.
    pub hub_paths: usize,
    /// The same where each comes with the last commit that touched it.
    pub hub_paths_expanded: usize,
    /// Longest README.md, bytes.
    pub card_bytes: u64,
    /// Longest file that a page shows as text, bytes.
    pub shown_bytes: u64,
    /// Longest config.json or adapter_config.json, bytes.
    pub config_bytes: u64,
    /// Longest model.safetensors.index.json, bytes.
    pub index_bytes: u64,
    /// Longest tokenizer.json or vocab.json that is read, bytes; of all models of one question eight times that.
    pub tokenizer_bytes: u64,
    /// Large files up to this size come within a commit where the client could not send them otherwise, bytes.
    pub inline_bytes: u64,
    /// Longest .gitignore that an upload is held against, bytes.
    pub ignore_bytes: u64,
    /// Longest JSON or YAML request body, bytes.
    pub body_bytes: usize,
    /// Longest line of a JSONL dump, bytes.
    pub row_bytes: usize,
    /// Default page length.
    pub page: u64,
    /// Longest page, and most decisions about one edge that are listed.
    pub page_max: u64,
    /// Most users, organisations, members, tokens, watches, branches or tags in one list.
    pub list_rows: u64,
    /// Longest text or filter of one search, bytes.
    pub search_bytes: usize,
    /// Most words in the text of one search.
    pub search_words: usize,
    /// Numbers in the sketch of one tensor, a power of two; the standard error of a kinship falls with its root.
    pub sketch_cells: usize,
    /// Most models in one kinship matrix.
    pub matrix: usize,
    /// Most bytes of weights that differ which a comparison reads of two stored models unless exact numbers are asked for; where there
    /// are more, their sketches answer.
    pub compare_bytes: u64,
    /// Most rows of computed comparisons, all together, that a process keeps in memory.
    pub compared_tensors: usize,
    /// Most parents of one model.
    pub parents: usize,
    /// Longest reason or advisory that a person writes, bytes.
    pub note_bytes: usize,
    /// Most stored models that one model is compared with to find its parents; their sketches are held at once.
    pub lineage_models: usize,
    /// Most bytes of weights, of all models compared together, that are read to recover lineage; where there are more, only
    /// sketches are.
    pub lineage_bytes: u64,
    /// Most models of a tree that `stemma tree --limit` may ask for.
    pub traversal: usize,
    /// Nodes of a tree answer unless it is asked for another number.
    pub tree_nodes: usize,
    /// Most nodes of a tree answer.
    pub tree_nodes_max: usize,
    /// Most models in one export of a family tree.
    pub export_models: usize,
    /// Bytes up to which a stored file is compared with its digest when it is first read; larger ones are when they are
    /// downloaded whole, and by `stemma fsck`.
    pub check_bytes: u64,
    /// Seconds after which a stored blob that nothing names is removed, by workers and by `stemma gc`.
    pub unnamed_blob_seconds: u64,
    /// Most rows in one list of a report.
    pub report_rows: usize,
    /// Most pairs of models compared for each class of kin.
    pub report_pairs: usize,
    /// Most characters of a model's record that are compared.
    pub report_text: usize,
    /// Most models, and most revisions of one, along a line of versions.
    pub version_line: usize,
    /// Most models in one merge.
    pub merge_models: usize,
    /// Most recipes in files of which each names the next.
    pub recipe_depth: usize,
    /// Most merges that are sent while they are computed, at once.
    pub merge_downloads: usize,
    /// Seconds that a block of such a merge waits for its reader before the merge is given up.
    pub download_idle_seconds: u64,
    /// Most layers of a model merged from slices.
    pub merge_layers: u64,
    /// Highest rank of a low-rank diff or an extracted adapter.
    pub low_rank: usize,
    /// Most bytes of the factors of one adapter or stored difference as F32, which are held in memory while it is computed
    /// with.
    pub low_rank_bytes: u64,
    /// Most numbers of 8 bytes that a merge method holds at once for one tensor, in scratch files and, at most an
    /// eighth of them, in memory.
    pub merge_held: u64,
    /// Most numbers that a search for a merge recipe varies.
    pub search_values: usize,
    /// Most candidates that a search for a merge recipe proposes.
    pub search_candidates: u64,
    /// Most rows of a table of tokens that a merge or a transplant makes.
    pub vocabulary_rows: u64,
    /// Most numbers of 8 bytes that a transplant holds at once, coefficients of its rows among them.
    pub transplant_held: u64,
    /// Most rows that one row of a transplant is made of.
    pub transplant_terms: usize,
    /// Longest SPARQL question, bytes.
    pub sparql_bytes: usize,
    /// Seconds that a SPARQL question may take.
    pub sparql_seconds: u64,
    /// Bytes of rows that the evaluation of a SPARQL question may hold at once.
    pub sparql_memory_bytes: u64,
    /// Most facts that a SPARQL question may read.
    pub sparql_facts: u64,
    /// Most rows, or triples, in the answer to a SPARQL question.
    pub sparql_rows: u64,
    /// Longest answer to a SPARQL question, bytes.
    pub sparql_answer_bytes: usize,
    /// Most SPARQL questions answered at once.
    pub sparql_at_once: usize,
    /// Most jobs waiting or running.
    pub queued_jobs: u64,
    /// Most jobs of one user, or of all who come without a token, waiting or running; 0 for any number.
    pub queued_jobs_each: u64,
    /// Most connections that follow jobs at once.
    pub event_listeners: usize,
    /// Seconds a worker may be silent before its job is handed on.
    pub lease_seconds: i64,
    /// Times a job is tried.
    pub attempts: i32,
    /// Seconds after which a job that has ended is removed, with its log and its idempotency key; one whose result is a stored
    /// file stays.
    pub kept_job_seconds: u64,
    /// Seconds an upload may send nothing before it is given up.
    pub upload_idle_seconds: u64,
    /// Seconds in all that a request's body is waited for at any rate.
    pub body_grace_seconds: u64,
    /// Bytes that have to come in every second after that, on average.
    pub body_rate: u64,
    /// Bytes that whatever comes in leaves free on the disk of the blob folder.
    pub reserve_bytes: u64,
    /// Seconds that a client may take in nothing of an answer before it is given up.
    pub answer_idle_seconds: u32,
    /// Most connections at once; fewer where the process may open fewer than four files for each.
    pub connections: usize,
    /// Requests for `/api/…` that one caller may make in [`RATE_SECONDS`]; 0 for any number.
    pub rate_api: u32,
    /// Downloads of files, likewise.
    pub rate_resolve: u32,
    /// Pages, likewise.
    pub rate_pages: u32,
    /// Questions that read weights or walk through much, likewise; they count as these alone.
    pub rate_measure: u32,
    /// Most bytes the pages of a Parquet dump held at once unpack to, and one row of a list column.
    pub dump_page_bytes: u64,
    /// Most items in one row of a list column of a Parquet dump.
    pub dump_row_values: u64,
    /// Largest file of an output, bytes; a larger tensor gets a file of its own.
    pub shard_bytes: u64,
    /// Bytes of a remote file fetched at once.
    pub hub_block_bytes: u64,
    /// Most bytes of remote files held in memory.
    pub hub_cache_bytes: u64,
    /// Longest remote file that is not weights, bytes.
    pub hub_file_bytes: u64,
    /// Most bytes of a graphics card's memory in use, and as many of pinned memory on this side.
    pub device_bytes: u64,
    /// Seconds between two looks at an author who is watched.
    pub watch_seconds: u64,
    /// Most models of one author that are looked at.
    pub watch_models: usize,
    /// Seconds that whoever asks for a model waits while it is brought in from the Hub.
    pub pull_wait_seconds: u64,
    /// Times a request to the Hub is tried.
    pub hub_tries: u32,
    /// Longest wait before the next try that the Hub may ask for, seconds.
    pub hub_wait_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: 8 << 20,
            tensors: 100_000,
            tensor_name_bytes: 512,
            rank: 16,
            file_bytes: 200_000_000_000,
            files: 10_000,
            hub_paths: 1_000,
            hub_paths_expanded: 50,
            card_bytes: 1 << 20,
            shown_bytes: 512 << 10,
            config_bytes: 1 << 20,
            index_bytes: 16 << 20,
            tokenizer_bytes: 64 << 20,
            inline_bytes: 1 << 30,
            ignore_bytes: 64 << 10,
            body_bytes: 1 << 20,
            row_bytes: 16 << 20,
            page: 20,
            page_max: 100,
            list_rows: 1_000,
            search_bytes: 1 << 10,
            search_words: 32,
            sketch_cells: 4_096,
            matrix: 100,
            compare_bytes: 1 << 30,
            compared_tensors: 100_000,
            parents: 100,
            lineage_models: 24,
            lineage_bytes: 1 << 30,
            note_bytes: 16 << 10,
            traversal: 50_000,
            tree_nodes: 500,
            tree_nodes_max: 5_000,
            export_models: 5_000,
            check_bytes: 16 << 20,
            unnamed_blob_seconds: 48 * 3_600,
            report_rows: 1_000,
            report_pairs: 400,
            report_text: 4_096,
            version_line: 64,
            merge_models: 64,
            recipe_depth: 8,
            merge_downloads: 2,
            download_idle_seconds: 60,
            merge_layers: 4_096,
            low_rank: 1_024,
            low_rank_bytes: 32 << 30,
            merge_held: 1 << 31,
            search_values: 128,
            search_candidates: 10_000,
            vocabulary_rows: 4_000_000,
            transplant_held: 1 << 26,
            transplant_terms: 1_024,
            sparql_bytes: 16 << 10,
            sparql_seconds: 10,
            sparql_memory_bytes: 256 << 20,
            sparql_facts: 20_000_000,
            sparql_rows: 100_000,
            sparql_answer_bytes: 16 << 20,
            sparql_at_once: 2,
            queued_jobs: 1_000,
            queued_jobs_each: 20,
            event_listeners: 256,
            lease_seconds: 60,
            attempts: 4,
            kept_job_seconds: 180 * 86_400,
            upload_idle_seconds: 30,
            body_grace_seconds: 10,
            body_rate: 10_000,
            reserve_bytes: 64 << 20,
            answer_idle_seconds: 60,
            connections: 10_000,
            rate_api: 0,
            rate_resolve: 0,
            rate_pages: 0,
            rate_measure: 0,
            dump_page_bytes: 256 << 20,
            dump_row_values: 100_000,
            shard_bytes: 5_000_000_000,
            hub_block_bytes: 4 << 20,
            hub_cache_bytes: 256 << 20,
            hub_file_bytes: 64 << 20,
            device_bytes: 1 << 30,
            watch_seconds: 3_600,
            watch_models: 10_000,
            pull_wait_seconds: 20,
            hub_tries: 5,
            hub_wait_seconds: 330,
        }
    }
}
